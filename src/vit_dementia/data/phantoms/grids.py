"""The grids that phantoms are rendered on, in millimetres of the scanner (RAS+)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from vit_dementia.data.phantoms.lattices import Axes

STEP_MM = 2.0
SLAB_MM = (-18.0, 32.0)  # from the hippocampi up to the roof of the lateral ventricles
_CENTER_MM = (0.0, -16.0, 4.0)  # of a brain; a whole head lies lower, with its neck
_SLICE_SHAPE = (80, 96)  # voxels from left to right and from back to front
_BRAIN_SHAPE = (88, 104, 88)
_HEAD_SLICE_SHAPE = (96, 120)
_HEAD_SHAPE = (96, 120, 128)
_HEAD_CENTER_MM = (0.0, -10.0, -28.0)


def slice_axes(*, slices: int, whole_head: bool) -> Axes:
    """Return the axes of axial slices, evenly spaced over the slab.

    >>> x, y, z = slice_axes(slices=6, whole_head=False)
    >>> len(x), len(y), z.tolist()
    (80, 96, [-18.0, -8.0, 2.0, 12.0, 22.0, 32.0])
    """
    shape = _HEAD_SLICE_SHAPE if whole_head else _SLICE_SHAPE
    center = _HEAD_CENTER_MM if whole_head else _CENTER_MM
    x, y = (_axis(n, c) for n, c in zip(shape, center[:2], strict=True))
    low, high = SLAB_MM
    z = np.linspace(low, high, slices) if slices > 1 else np.array([(low + high) / 2])
    return x, y, z


def volume_axes(*, whole_head: bool) -> Axes:
    """Return the axes of a whole volume.

    >>> [len(axis) for axis in volume_axes(whole_head=False)]
    [88, 104, 88]
    """
    shape = _HEAD_SHAPE if whole_head else _BRAIN_SHAPE
    center = _HEAD_CENTER_MM if whole_head else _CENTER_MM
    x, y, z = (_axis(n, c) for n, c in zip(shape, center, strict=True))
    return x, y, z


def affine_of(axes: Axes) -> Float[np.ndarray, "4 4"]:
    """Return the affine from voxel indices to millimetres.

    >>> affine_of(volume_axes(whole_head=False))[:3].tolist()  # doctest: +ELLIPSIS
    [[2.0, 0.0, 0.0, -87.0], [0.0, 2.0, 0.0, -119.0], [0.0, 0.0, 2.0, -83.0]]
    """
    affine = np.diag([*(axis[1] - axis[0] for axis in axes), 1.0])
    affine[:3, 3] = [axis[0] for axis in axes]
    return affine


def _axis(count: int, center_mm: float) -> Float[np.ndarray, " x"]:
    return center_mm + STEP_MM * (np.arange(count) - (count - 1) / 2)
