"""What stays of an image however it was turned, mirrored, stretched, cut or brightened.

1. The outline of the head is made a circle: the image is moved, stretched and sheared
   until the second moments of the head's mask are those of a disc. Shift, scale and
   change of proportions are gone; what is left open is a rotation and a mirror.
2. Fine detail is divided by its own local strength (divisive normalization; Lyu &
   Simoncelli 2008). The height of a slice shows in its coarse shapes, the person in
   the fine ones: folds of the cortex, the edge of the ventricles.
3. The disc is read along rings, so that a rotation becomes a shift along the rings and
   a mirror reverses them. The rings' Fourier coefficients are kept: the correlation of
   two images at every rotation, mirrored or not, is one short inverse transform.

Shapes: n images, t side of a thumbnail, r rings, f harmonics, p pairs, d features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex64, Float, Float16, Float32, Int, UInt8
from scipy import ndimage

RINGS = 24
HARMONICS = 40  # along a ring: finer detail than this is lost in a thumbnail
STEPS = 128  # samples along a ring, and rotations that are tried
_REACH = 2.15  # radius of the outermost ring; that of a disc of unit variance is 2
_CHUNK = 512  # images at a time, so that memory does not grow with the cohort
_PAIRS = 2048  # pairs at a time
_COARSE, _FINE = 3.0, 0.7  # pixels of a thumbnail: the band of detail
_SOLID = 0.2  # of the way from the darkest to the brightest: head, not background
_SMALLEST = 12  # pixels of a halved thumbnail; less is no head
_TELLING = 24  # harmonics whose strength is searched


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """The fine detail of images around their middles.

    Attributes:
        parts: real and imaginary parts of the rings' Fourier coefficients; the
            correlation of an image with itself is 1.
    """

    parts: Float16[np.ndarray, "n r f 2"]

    def __len__(self) -> int:
        return len(self.parts)

    def of(self, rows: Int[np.ndarray, " p"]) -> Complex64[np.ndarray, "p r f"]:
        """Return the Fourier coefficients of some images."""
        found = np.ascontiguousarray(self.parts[rows].astype(np.float32))
        complex_parts: np.ndarray = found.view(np.complex64)[..., 0]
        return complex_parts

    def likeness(
        self, left: Int[np.ndarray, " p"], right: Int[np.ndarray, " p"]
    ) -> Float32[np.ndarray, " p"]:
        """Return each pair's correlation at its best rotation, mirrored or not."""
        found = np.empty(len(left), dtype=np.float32)
        for at in range(0, len(left), _PAIRS):
            part = slice(at, at + _PAIRS)
            one, other = self.of(left[part]), self.of(right[part])
            turned = np.einsum("prf,prf->pf", one, other.conj())
            mirrored = np.einsum("prf,prf->pf", one, other)
            found[part] = np.maximum(_peak(turned), _peak(mirrored))
        return found

    def strengths(self, rows: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n d"]:
        """Return the strength of each ring's harmonics: no rotation changes it."""
        found: np.ndarray = np.abs(self.of(rows)[:, :, :_TELLING])
        return found.reshape(len(rows), -1).astype(np.float32)


def fingerprints(thumbnails: UInt8[np.ndarray, "n t t"]) -> Fingerprints:
    """Return the fingerprints of thumbnails, a few hundred at a time."""
    parts = np.empty((len(thumbnails), RINGS, HARMONICS, 2), dtype=np.float16)
    for at in range(0, len(thumbnails), _CHUNK):
        some = np.asarray(thumbnails[at : at + _CHUNK])
        rings = _rings(detail(some), *middles(some))
        parts[at : at + _CHUNK] = _coefficients(rings)
    return Fingerprints(parts)


def detail(thumbnails: UInt8[np.ndarray, "n t t"]) -> Float32[np.ndarray, "n t t"]:
    """Return the fine detail, as strong in dull places as in bright ones."""
    image = thumbnails.astype(np.float32)
    fine = ndimage.gaussian_filter(image, (0, _FINE, _FINE), truncate=3)
    fine -= ndimage.gaussian_filter(image, (0, _COARSE, _COARSE), truncate=3)
    wide = (0, 2 * _COARSE, 2 * _COARSE)
    strength = np.sqrt(ndimage.gaussian_filter(fine**2, wide, truncate=2))
    most = strength.max(axis=(1, 2), keepdims=True)
    # Where there is next to nothing, next to nothing stays: noise is no detail.
    divided: np.ndarray = fine / (strength + 0.15 * most + 1e-3)
    return divided


def middles(
    thumbnails: UInt8[np.ndarray, "n t t"],
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2 2"]]:
    """Return where each head is (column, row), and what makes a unit circle its shape.

    The shape is the square root of the covariance of the mask's pixels.

    >>> square = np.zeros((1, 32, 32), np.uint8)
    >>> square[0, 8:16, 4:20] = 200
    >>> center, shape = middles(square)
    >>> center.tolist(), bool(shape[0, 0, 0] > 1.8 * shape[0, 1, 1])
    ([[11.5, 11.5]], True)
    """
    masks = _masks(thumbnails)
    side = masks.shape[1]
    weight = masks.reshape(len(masks), -1).astype(np.float64)
    rows, columns = np.mgrid[:side, :side].reshape(2, -1)
    place = np.stack([columns, rows], axis=1) * 2.0 + 0.5  # back to whole thumbnails
    size = weight.sum(axis=1)[:, None]
    center = weight @ place / size
    products = place[:, :, None] * place[:, None, :]
    second = weight @ products.reshape(-1, 4) / size
    spread = second.reshape(-1, 2, 2) - center[:, :, None] * center[:, None, :]
    length, axis = np.linalg.eigh(spread + 1e-3 * np.eye(2))
    root = (axis * np.sqrt(length)[:, None, :]) @ axis.transpose(0, 2, 1)
    return center, root


def _masks(thumbnails: UInt8[np.ndarray, "n t t"]) -> Bool[np.ndarray, "n s s"]:
    """Return the largest bright thing of each thumbnail, at half its size."""
    num, side = thumbnails.shape[:2]
    blocks = thumbnails.reshape(num, side // 2, 2, side // 2, 2)
    half = blocks.mean(axis=(2, 4), dtype=np.float32)
    half = ndimage.gaussian_filter(half, (0, 0.6, 0.6), truncate=3)
    flat = np.sort(half.reshape(num, -1), axis=1)
    dark = flat[:, int(0.05 * flat.shape[1]), None, None]
    bright = flat[:, int(0.98 * flat.shape[1]), None, None]
    solid = half > dark + _SOLID * (bright - dark)
    for mask in solid:
        things = np.zeros(mask.shape, dtype=np.int32)
        ndimage.label(mask, output=things)
        if things.max() > 1:
            mask[:] = things == 1 + np.argmax(np.bincount(things.ravel())[1:])
        mask[:] = ndimage.binary_fill_holes(mask)
        if mask.sum() < _SMALLEST:
            mask[:] = True
    found: np.ndarray = solid
    return found


def _rings(
    images: Float32[np.ndarray, "n t t"],
    center: Float[np.ndarray, "n 2"],
    shape: Float[np.ndarray, "n 2 2"],
) -> Float32[np.ndarray, "n r a"]:
    """Read each image along rings around its middle."""
    import torch
    from torch.nn.functional import grid_sample

    angle = np.arange(STEPS) * (2 * np.pi / STEPS)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    points = (_radii() * _REACH)[:, None, None] * circle
    place = center[:, None, None] + np.einsum("nij,raj->nrai", shape, points)
    grid = (2 * place + 1) / images.shape[-1] - 1
    read = grid_sample(
        torch.from_numpy(images)[:, None],
        torch.from_numpy(grid.astype(np.float32)),
        align_corners=False,
    )
    rings: np.ndarray = read[:, 0].numpy()
    return rings


def _coefficients(
    rings: Float32[np.ndarray, "n r a"],
) -> Float16[np.ndarray, "n r f 2"]:
    """Return the Fourier coefficients, scaled to a likeness of 1 with themselves."""
    area = _radii()[:, None]  # a ring counts as much as it covers
    rings = rings - (rings * area).sum(axis=(1, 2), keepdims=True) / area.sum() / STEPS
    found = np.fft.rfft(rings * np.sqrt(area), axis=2)[:, :, :HARMONICS]
    power = (np.abs(found) ** 2).sum(axis=1)
    norm = np.sqrt((2 * power.sum(axis=1) - power[:, 0]) / STEPS)
    scaled = found / (norm[:, None, None] + 1e-6)
    return np.stack([scaled.real, scaled.imag], axis=-1).astype(np.float16)


def _radii() -> Float[np.ndarray, " r"]:
    radii: np.ndarray = (np.arange(RINGS) + 0.5) / RINGS
    return radii


def _peak(spectrum: Complex64[np.ndarray, "p f"]) -> Float32[np.ndarray, " p"]:
    peak: np.ndarray = np.fft.irfft(spectrum, n=STEPS, axis=1).max(axis=1)
    return peak.astype(np.float32)
