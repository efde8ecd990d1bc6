"""Which patches show a head: the others need no work.

Most of an MRI slice is air. Patches that are dark in all training slices are not read,
neither in training nor at prediction (the idea of dropping tokens before the encoder is
that of masked auto-encoders: He et al. 2022, arXiv 2111.06377). A scan that shows
something outside them is told from one that fits.

Shapes: ``n`` scans, ``m`` of them chosen, ``c`` channels, ``space`` the two sides of a
slice or the three of a volume, ``g`` patches of the grid.
"""

from __future__ import annotations

from itertools import chain
from math import prod

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

DARK = 0.05  # of white: noise and the ringing of JPEG, not tissue
LEAST = 0.02  # of white: a patch whose mean is above it shows something
RARE = 0.001  # of the training slices may show something in a patch that is not read
OUTSIDE = 0.005  # of its brightness a slice may have outside and still fit
MISFITS = 0.01  # of the training slices; above it all patches are read
_AT_ONCE = 4_000_000  # pixels or voxels in memory as floats


def brightness_of_patches(
    images: UInt8[np.ndarray, "n c *space"],
    patch_size: tuple[int, ...],
    rows: Int[np.ndarray, " m"] | None = None,
) -> Float[np.ndarray, "m g"]:
    """Return how bright each patch is, as a share of white, row by row.

    Pixels that are all but dark count as dark; of several channels the brightest
    counts.

    Args:
        images: in memory or mapped: a few are copied at once.
        patch_size: sides of a patch.
        rows: which images, in the order of the answer; all if left out.

    >>> image = np.zeros((1, 1, 2, 4), np.uint8)
    >>> image[..., 2:] = 255
    >>> brightness_of_patches(image, (2, 2)).tolist()
    [[0.0, 1.0]]
    """
    sides = images.shape[2:]
    grid = tuple(side // p for side, p in zip(sides, patch_size, strict=True))
    cut = tuple(chain.from_iterable(zip(grid, patch_size, strict=True)))
    inside = tuple(range(2, 2 * len(grid) + 1, 2))  # the axes within a patch
    rows = np.arange(len(images)) if rows is None else rows
    found = np.empty((len(rows), prod(grid)), dtype=np.float32)
    at_once = max(1, _AT_ONCE // prod(sides))
    for start in range(0, len(rows), at_once):
        chosen = images[rows[start : start + at_once]]
        part = chosen.max(axis=1).astype(np.float32) / 255.0
        part[part < DARK] = 0.0
        bright = part.reshape(len(part), *cut).mean(axis=inside)
        found[start : start + len(part)] = bright.reshape(len(part), -1)
    return found


def find_foreground(
    images: UInt8[np.ndarray, "n c *space"],
    patch_size: tuple[int, ...],
    rows: Int[np.ndarray, " m"] | None = None,
) -> tuple[int, ...] | None:
    """Return the patches that show something in training slices; None for all.

    None is also the answer where too many of these slices would not fit what is left.
    """
    bright = brightness_of_patches(images, patch_size, rows)
    shows = (bright > LEAST).mean(axis=0) > RARE
    if shows.all() or not shows.any():
        return None
    visible = tuple(np.flatnonzero(shows).tolist())
    if np.mean(~_fits(bright, visible)) > MISFITS:
        return None
    return visible


def fits_foreground(
    images: UInt8[np.ndarray, "n c *space"],
    patch_size: tuple[int, ...],
    visible: tuple[int, ...] | None,
    rows: Int[np.ndarray, " m"] | None = None,
) -> Bool[np.ndarray, " m"]:
    """Say of each slice whether nothing of note lies where no patch is read.

    >>> image = np.zeros((1, 1, 2, 4), np.uint8)
    >>> image[..., 2:] = 255
    >>> fits_foreground(image, (2, 2), (1,)), fits_foreground(image, (2, 2), (0,))
    (array([ True]), array([False]))
    """
    if visible is None:
        return np.ones(len(images if rows is None else rows), dtype=bool)
    return _fits(brightness_of_patches(images, patch_size, rows), visible)


def _fits(
    bright: Float[np.ndarray, "n g"], visible: tuple[int, ...]
) -> Bool[np.ndarray, " n"]:
    whole = bright.sum(axis=1)
    return whole - bright[:, list(visible)].sum(axis=1) <= OUTSIDE * whole
