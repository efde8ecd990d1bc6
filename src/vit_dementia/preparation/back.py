"""From what a network reads back to the scan: where a value of a map lies in it.

Every preparation is undone in its own geometry, so that a map of an explanation lies on
the scan as it came, in its own orientation, size and millimetres.

Shapes: ``H W`` (or ``D H W``) as prepared, ``h w`` a slice as read, ``k`` slices of a
volume, ``x y z`` voxels to the right, to the front, up, ``n`` places, ``m`` known ones.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32
from PIL import Image
from scipy import ndimage

from vit_dementia.data.volumes import Volume
from vit_dementia.preparation.head_box import find_head
from vit_dementia.preparation.slab import SlabPreprocessing
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.preparation.volumes import VolumePreprocessing, middle


def back_to_slice(
    preprocessing: SlicePreprocessing,
    values: Float32[np.ndarray, "H W"],
    shape: tuple[int, int],
) -> Float32[np.ndarray, "h w"]:
    """Return the values at the pixels of a slice of some height and width.

    >>> made = SlicePreprocessing(size=(4, 4))
    >>> values = np.arange(16, dtype=np.float32).reshape(4, 4)
    >>> back_to_slice(made, values, (4, 2)).tolist()[0]
    [1.0, 2.0]
    """
    height, width = shape
    part = values[preprocessing.place(height, width)]
    if part.shape == shape:
        return part
    resized = Image.fromarray(part).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)


def back_to_volume(
    preprocessing: SlabPreprocessing | VolumePreprocessing,
    values: Float32[np.ndarray, "_ _ _"],
    volume: Volume,
) -> Float32[np.ndarray, "x y z"]:
    """Return the values at the voxels of a volume; zero where the network reads none.

    Args:
        values: one map of slices, in their order, or one of a whole volume.
        volume: as it was read, axes turned to RAS+.

    Raises:
        ScanError: if the volume shows no head.
    """
    if isinstance(preprocessing, SlabPreprocessing):
        return _from_slab(preprocessing, values, volume)
    return _from_volume(preprocessing, values, volume)


def _from_slab(
    preprocessing: SlabPreprocessing,
    values: Float32[np.ndarray, "k h w"],
    volume: Volume,
) -> Float32[np.ndarray, "x y z"]:
    # The axes of slices that lie along x, y and z.
    axes = {"axial": (2, 1, 0), "coronal": (2, 0, 1), "sagittal": (0, 2, 1)}
    order = axes[preprocessing.plane]
    turned = values.transpose(order)
    places = preprocessing.places(find_head(volume))
    low, high = preprocessing.slab_mm
    step = (high - low) / max(preprocessing.count - 1, 1)
    for axis, (known, side) in enumerate(zip(places, volume.spacing_mm, strict=True)):
        wanted = side * np.arange(volume.voxels.shape[axis])
        reach = step if order[axis] == 0 else preprocessing.spacing_mm
        weights = _interpolation(wanted, known, reach / 2)
        turned = np.moveaxis(np.tensordot(weights, turned, axes=(1, axis)), 0, axis)
    return turned.astype(np.float32)


def _interpolation(
    wanted: Float[np.ndarray, " n"], known: Float[np.ndarray, " m"], reach: float
) -> Float[np.ndarray, "n m"]:
    """Return how much each known place counts at each wanted one, linearly between.

    Args:
        reach: how far beyond the outermost known places their values still count.

    >>> _interpolation(np.array([0.5, 2.0]), np.array([1.0, 0.0]), 0.5).tolist()
    [[0.5, 0.5], [0.0, 0.0]]
    """
    order = np.argsort(known)
    unit = np.eye(len(known))[order]
    weights = np.stack(
        [np.interp(wanted, known[order], unit[:, one]) for one in range(len(known))],
        axis=1,
    )
    outside = (wanted < known.min() - reach) | (wanted > known.max() + reach)
    weights[outside] = 0.0
    return weights


def _from_volume(
    preprocessing: VolumePreprocessing,
    values: Float32[np.ndarray, "D H W"],
    volume: Volume,
) -> Float32[np.ndarray, "x y z"]:
    shape = volume.voxels.shape[::-1]
    sides = volume.spacing_mm[::-1]
    resampled = tuple(
        round(count * side / preprocessing.spacing_mm)
        for count, side in zip(shape, sides, strict=True)
    )
    whole = np.zeros(resampled, dtype=np.float32)
    pairs = [
        middle(have, want)
        for have, want in zip(resampled, preprocessing.size, strict=True)
    ]
    whole[tuple(of for _, of in pairs)] = values[tuple(to for to, _ in pairs)]
    if resampled != shape:
        zoom = tuple(b / a for a, b in zip(resampled, shape, strict=True))
        whole = ndimage.zoom(whole, zoom, order=1, mode="nearest", grid_mode=True)
    return np.ascontiguousarray(whole[:, ::-1].transpose(2, 1, 0), dtype=np.float32)
