"""Where the head ends: its outline with everything inside erased.

The outline is the convex hull of what is not background, so that neither ventricles nor
the grooves of the cortex change it; on whole heads it is the skin, on skull-stripped
slices the surface of the brain.

Shapes: h rows, w columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Real
from scipy import ndimage
from scipy.spatial import ConvexHull

_FOREGROUND = 0.2  # of the way from the darkest to the brightest pixels


@dataclass(frozen=True)
class Outline:
    """The convex hull of a head, in shares of the picture's longer side.

    Attributes:
        area: share of the square of the longer side.
        height: from its highest to its lowest point.
        width: from its leftmost to its rightmost point.
        row: middle of the height, from the top of the square.
        column: middle of the width, from the left of the square.
        roundness: area against that of a circle with the same perimeter: 1 is a circle.
    """

    area: float
    height: float
    width: float
    row: float
    column: float
    roundness: float


NO_OUTLINE = Outline(0.0, 0.0, 0.0, 0.5, 0.5, 0.0)


def head_mask(image: Real[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return where the largest bright thing of the picture is, its holes filled.

    >>> ring = np.pad(np.pad([[0]], 1, constant_values=9), 2)
    >>> int(head_mask(ring).sum())
    9
    """
    dark, bright = np.percentile(image, [5, 98])
    parts = np.zeros(image.shape, dtype=np.int32)
    ndimage.label(image > dark + _FOREGROUND * (bright - dark), output=parts)
    sizes = np.bincount(parts.ravel())[1:]
    if not sizes.size:
        return np.zeros(image.shape, dtype=bool)
    filled: np.ndarray = ndimage.binary_fill_holes(parts == 1 + int(np.argmax(sizes)))
    return filled.astype(bool)


def outline_of(mask: Bool[np.ndarray, "h w"]) -> Outline:
    """Return the outline of a mask; that of nothing is `NO_OUTLINE`.

    >>> outline_of(np.pad(np.ones((4, 2), bool), ((2, 2), (3, 3)))).height
    0.5
    """
    rows, columns = np.nonzero(mask & ~ndimage.binary_erosion(mask))
    side = max(mask.shape)
    if not rows.size:
        return NO_OUTLINE
    corners = np.concatenate(
        [
            np.stack([rows + up, columns + left], axis=1)
            for up in (0, 1)
            for left in (0, 1)
        ]
    )
    hull = ConvexHull(corners)  # in two dimensions ``volume`` is area, ``area`` length
    top, left = corners.min(axis=0)
    bottom, right = corners.max(axis=0)
    return Outline(
        area=float(hull.volume) / side**2,
        height=float(bottom - top) / side,
        width=float(right - left) / side,
        row=float(top + bottom) / (2 * side),
        column=float(left + right) / (2 * side),
        roundness=float(4 * np.pi * hull.volume / hull.area**2),
    )
