"""Scans and maps in the forms that a browser can draw, without anything from a header.

A slice becomes a PNG, upright; a volume becomes a plain NIfTI, its axes turned to
right, anterior, superior: as the model reads them, and so that a map lies on its scan.

Letters: ``h w`` pixels, ``x y z`` voxels, to the right, to the front, up.
"""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from vit_dementia.data.volumes import Volume

_WHITE = 99.5  # percentile of a slice that is shown white
_GRAYS = 32_000  # steps from the darkest to the brightest voxel
_STRONGEST = 0.75  # opacity of the most relevant place


def slice_as_png(pixels: Float32[np.ndarray, "h w"]) -> bytes:
    """Return a slice in 8-bit gray, black at nothing.

    >>> slice_as_png(np.ones((2, 2), np.float32))[1:4]
    b'PNG'
    """
    bright = pixels[pixels > 0]
    white = float(np.percentile(bright, _WHITE)) if bright.size else 1.0
    gray = np.clip(pixels / white * 255, 0, 255).astype(np.uint8)
    return _png(Image.fromarray(gray))


def map_as_png(relevance: Float32[np.ndarray, "h w"]) -> bytes:
    """Return a map in color, the more opaque the more relevant; below zero is clear.

    >>> map_as_png(np.eye(2, dtype=np.float32))[1:4]
    b'PNG'
    """
    import matplotlib as mpl

    share = np.clip(relevance, 0, None) / max(float(relevance.max()), 1e-12)
    colored: UInt8[np.ndarray, "h w 4"]
    colored = mpl.colormaps["inferno"](share, bytes=True).copy()
    colored[..., 3] = np.round(255 * _STRONGEST * share).astype(np.uint8)
    return _png(Image.fromarray(colored))


def volume_as_nifti(volume: Volume) -> bytes:
    """Return an uncompressed NIfTI of 16 bits a voxel, scaled to the volume's unit.

    >>> ones = Volume(np.ones((8, 8, 8), np.float32), np.eye(4))
    >>> len(volume_as_nifti(ones)) == 352 + 2 * 8**3
    True
    """
    import nibabel as nib

    low, high = float(volume.voxels.min()), float(volume.voxels.max())
    step = (high - low) / _GRAYS or 1.0
    stored = np.round((volume.voxels - low) / step).astype(np.int16)
    image = nib.Nifti1Image(stored, volume.affine)
    image.header.set_slope_inter(step, low)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(volume.affine, code=1)
    image.set_qform(volume.affine, code=1)
    return image.to_bytes()


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, format="PNG", compress_level=1)
    return out.getvalue()
