"""Where the head is in a scan, and the scan with everything inside it erased.

What is left, silhouette and background, should tell nothing about a diagnosis: a model
that still tells it has learned a border, a marking or a way of cutting out the head.
The threshold is half of Otsu's (1979), so that dark fluid counts as head; of what is
brighter the largest piece around the center is the head, its holes filled.

Shapes: ``n`` scans, ``c`` channels, ``space`` the two sides of a slice or the three of
a volume.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Real, UInt8
from scipy import ndimage

FILL = 128  # in place of the head: neither dark nor bright
_LONGEST_SIDE = {2: 104, 3: 64}  # pixels, voxels in which the head is looked for
_FRAME = 0.04  # of each side, along the edges of the picture: never head
_EDGE = 0.15  # of each side: the largest piece is looked for within


def erase(images: UInt8[np.ndarray, "n c *space"]) -> UInt8[np.ndarray, "n c *space"]:
    """Return the scans with the head filled with one gray.

    >>> disc = np.hypot(*(np.mgrid[:32, :32] - 15.5)) < 10
    >>> erased = erase((200 * disc).astype(np.uint8)[None, None])
    >>> int(erased[0, 0, 16, 16]), int(erased[0, 0, 0, 0])
    (128, 0)
    """
    erased = images.copy()
    for scan in erased:
        scan[:, head_of(scan.mean(axis=0))] = FILL
    return erased


def head_of(gray: Real[np.ndarray, "*space"]) -> Bool[np.ndarray, "*space"]:
    """Return which pixels or voxels belong to the head; none if nothing stands out.

    >>> head_of(np.zeros((4, 4))).any()
    np.False_
    """
    step = -(-max(gray.shape) // _LONGEST_SIDE[gray.ndim])
    small = gray[(slice(None, None, step),) * gray.ndim]
    if small.min() == small.max():
        return np.zeros(gray.shape, bool)
    bright = small > otsu(small) / 2
    pieces = np.zeros(small.shape, np.int32)
    ndimage.label(bright & _within(small.shape, _FRAME), output=pieces)
    count = int(pieces.max())
    if not count:
        return np.zeros(gray.shape, bool)
    central = pieces[_within(small.shape, _EDGE)]
    size = np.bincount(central, minlength=count + 1)
    if not size[1:].any():
        return np.zeros(gray.shape, bool)
    large = ndimage.binary_fill_holes(pieces == 1 + size[1:].argmax())
    for axis in range(gray.ndim):
        large = large.repeat(step, axis=axis)
    return np.asarray(large[tuple(map(slice, gray.shape))], bool)


def _within(shape: tuple[int, ...], edge: float) -> Bool[np.ndarray, "*space"]:
    """Return which pixels are not close to the edges of the picture."""
    inside = np.zeros(shape, bool)
    near = [max(1, round(edge * side)) for side in shape]
    inside[tuple(slice(some, -some) for some in near)] = True
    return inside


def otsu(gray: Real[np.ndarray, "*space"]) -> float:
    """Return the value that divides pixels into two groups farthest apart."""
    counts, edges = np.histogram(gray, bins=64)
    middle = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    total = np.cumsum(counts * middle)
    dark = total[:-1] / np.maximum(below, 1)
    bright = (total[-1] - total[:-1]) / np.maximum(above, 1)
    return float(middle[:-1][(below * above * (bright - dark) ** 2).argmax()])
