"""Where the head is in a volume, so that slices are cut at the same places of it.

A scan's own millimetres begin anywhere: at the scanner's middle, at a corner. The head
itself is the better measure, with or without a skull: its top, its front, its sides.
What is brighter than half of Otsu's threshold (1979) is head, as in ``silhouette``; of
that the largest piece.

Letters: ``x``, ``y``, ``z`` voxels to the right, to the front, up; ``n`` voxels along
one axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from vit_dementia.data.volumes import Volume
from vit_dementia.errors import ScanError
from vit_dementia.preparation.silhouette import otsu
from vit_dementia.preparation.slices import BRIGHT_PERCENTILE

_STEP_MM = 2.0  # on which the head is looked for
_DEPTH_MM = 90.0  # below the top: a brain's depth to its temporal lobes, above the nose
_LEAST = 0.02  # of the largest plane: a smaller one is a vessel, or noise


@dataclass(frozen=True, kw_only=True)
class HeadBox:
    """The sides of a head in millimetres from the center of a volume's first voxel.

    Attributes:
        left_right: along the first axis, within 90 mm of the top.
        back_front: along the second axis, likewise.
        top: along the third axis.
    """

    left_right: tuple[float, float]
    back_front: tuple[float, float]
    top: float


def find_head(volume: Volume) -> HeadBox:
    """Return the sides of the head, to about the size of a voxel.

    >>> voxels = np.zeros((40, 40, 40), np.float32)
    >>> voxels[10:30, 5:35, :20] = 100
    >>> find_head(Volume(voxels, np.diag([4.0, 4, 4, 1])))
    HeadBox(left_right=(40.0, 116.0), back_front=(20.0, 136.0), top=76.0)

    Raises:
        ScanError: if nothing stands out from the background.
    """
    voxels, spacing = volume.voxels, volume.spacing_mm
    steps = [max(1, round(_STEP_MM / side)) for side in spacing]
    small = voxels[:: steps[0], :: steps[1], :: steps[2]]
    bright = small[small > 0]
    if bright.size:  # one hot voxel would raise the threshold above the head
        small = np.minimum(small, np.percentile(bright, BRIGHT_PERCENTILE))
    threshold = otsu(small) / 2 if small.min() < small.max() else np.inf
    head = _largest(small > threshold)
    if not head.any():
        raise ScanError("nothing stands out from the background; needs a head")
    sides = [step * side for step, side in zip(steps, spacing, strict=True)]
    top = _extent(head, axis=2)[1]
    lowest = max(0, top - round(_DEPTH_MM / sides[2]))
    upper = head[:, :, lowest : top + 1]
    (left, right), (back, front) = _extent(upper, axis=0), _extent(upper, axis=1)
    return HeadBox(
        left_right=(left * sides[0], right * sides[0]),
        back_front=(back * sides[1], front * sides[1]),
        top=top * sides[2],
    )


def _largest(mask: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    pieces = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, output=pieces)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return (pieces == int(sizes.argmax())) & mask


def _extent(mask: Bool[np.ndarray, "x y z"], *, axis: int) -> tuple[int, int]:
    """Return the first and the last plane that shows more than a speck."""
    others = tuple(other for other in range(3) if other != axis)
    area = mask.sum(axis=others)
    shown = np.flatnonzero(area > _LEAST * area.max())
    return int(shown[0]), int(shown[-1])


def sampling(
    places_mm: Float32[np.ndarray, " m"], *, count: int, side_mm: float, width_mm: float
) -> Float32[np.ndarray, "m n"]:
    """Return how much each voxel along an axis counts at some places.

    The weights fall linearly over the wider of both sides: interpolation where voxels
    are large, and a mean over those that a wide place covers where they are small.
    Beyond the volume they are 0, for black.

    Args:
        places_mm: from the center of the first voxel.
        count: voxels along the axis.
        side_mm: of a voxel.
        width_mm: of a place.

    >>> sampling(np.float32([0.5, 9]), count=3, side_mm=1.0, width_mm=1.0).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
    """
    reach = max(side_mm, width_mm)
    beyond = int(np.ceil(reach / side_mm))
    first = places_mm[:, None] / side_mm
    voxel = np.arange(-beyond, count + beyond)
    weight = np.clip(1 - np.abs(voxel - first) * side_mm / reach, 0, None)
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-6)
    return (weight / total)[:, beyond : beyond + count].astype(np.float32)
