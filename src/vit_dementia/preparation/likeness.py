"""Whether a scan looks like those of the training: not noise, no photograph, upright.

A slice is brought down to 16 x 16 gray values, less their mean and to unit length. The
training keeps the mean of these pictures, too coarse to show anybody. A slice whose
product with it is far below that of every training slice is something else; one that
fits better upside down, where no training slice does, is upside down. This finds what
is grossly wrong and nothing else: it is no judgment of quality. A volume is looked at
from the side: the mean along its last axis, from left to right.

Shapes: ``n`` scans, ``c`` channels, ``space`` the two sides of a slice or the three of
a volume, ``g`` cells of the grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from vit_dementia.errors import CheckpointError

FORMAT = 1
GRID = 16  # cells a side
FEWEST = 5  # participants, so that the mean is nobody's picture
_LEAST_MARGIN = 0.1  # below the least alike training slice, and twice its distance
_TURNS: Mapping[str, tuple[slice, slice]] = {
    "upside down": (slice(None, None, -1), slice(None)),
    "turned by half": (slice(None, None, -1), slice(None, None, -1)),
}

UNLIKE = (
    "does not look like the scans of the training: another kind of picture, plane or "
    "contrast, or other preparation; needs a scan like those"
)
TURNED = "fits the scans of the training better {}; needs to be turned as they are"


@dataclass(frozen=True)
class Likeness:
    """What training slices look like on average, and how alike they are.

    Attributes:
        picture: of ``GRID`` x ``GRID`` cells, row by row.
        lowest: product with the picture below which a slice is something else.
        telling: turns that no training slice fits better in.
    """

    picture: tuple[float, ...]
    lowest: float
    telling: tuple[str, ...]

    @classmethod
    def of(cls, images: UInt8[np.ndarray, "n c *space"]) -> Likeness:
        """Learn what prepared slices of a training look like."""
        coarse = _coarse(images)
        mean = coarse.mean(axis=0)
        mean /= max(float(np.linalg.norm(mean)), 1e-9)
        alike = coarse @ mean
        spread = float(np.median(alike) - alike.min())
        telling = [
            name
            for name, turn in _TURNS.items()
            if (coarse @ (mean - _turned(mean, turn)) > 0).all()
        ]
        lowest = float(alike.min()) - max(_LEAST_MARGIN, 2 * spread)
        rounded = tuple(round(float(value), 4) for value in mean)
        return cls(rounded, round(lowest, 4), tuple(telling))

    def reasons(self, images: UInt8[np.ndarray, "n c *space"]) -> list[str]:
        """Say of each prepared slice why it is unlike the training's; empty if not."""
        mean = np.array(self.picture)
        coarse = _coarse(images)
        said = [UNLIKE if value < self.lowest else "" for value in coarse @ mean]
        for name in self.telling:
            turned = coarse @ (mean - _turned(mean, _TURNS[name])) < 0
            said = [
                one or (TURNED.format(name) if wrong else "")
                for one, wrong in zip(said, turned, strict=True)
            ]
        return said

    def to_dict(self, *, model: str) -> dict[str, Any]:
        """Return the content of ``likeness.json``."""
        return {
            "format": FORMAT,
            "model": model,
            "picture": list(self.picture),
            "lowest": self.lowest,
            "telling": list(self.telling),
        }

    @classmethod
    def from_dict(cls, told: Any, *, model: str, where: str) -> Likeness:
        """Read the content of ``likeness.json``.

        Args:
            told: what the file holds.
            model: SHA-256 of the weights beside it.
            where: the file, for the message.

        Raises:
            CheckpointError: if it is damaged or belongs to other weights.
        """
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise CheckpointError(f"{where}: format {FORMAT} is needed")
        if told.get("model") != model:
            raise CheckpointError(
                f"{where}: belongs to other weights than those beside it; remove it to "
                "predict without it"
            )
        try:
            read = cls(
                tuple(map(float, told["picture"])),
                float(told["lowest"]),
                tuple(name for name in _TURNS if name in told["telling"]),
            )
        except (KeyError, TypeError, ValueError) as cause:
            raise CheckpointError(f"{where}: is damaged ({cause})") from cause
        if len(read.picture) != GRID**2 or not np.isfinite(read.picture).all():
            raise CheckpointError(
                f"{where}: is damaged (no picture of {GRID} x {GRID})"
            )
        return read


def _coarse(images: UInt8[np.ndarray, "n c *space"]) -> Float[np.ndarray, "n g"]:
    """Return the mean of each cell, less their mean, to unit length."""
    height, width = images.shape[2:4]
    rows, columns = (np.arange(GRID) * side // GRID for side in (height, width))
    found = np.empty((len(images), GRID**2))
    for place, image in enumerate(images):  # one at a time: a cohort may be large
        gray = image.mean(axis=0)
        if gray.ndim == 3:
            gray = gray.mean(axis=2)
        cells = np.add.reduceat(np.add.reduceat(gray, rows, axis=0), columns, axis=1)
        found[place] = (cells / np.outer(_sizes(height), _sizes(width))).ravel()
    found -= found.mean(axis=1, keepdims=True)
    return found / np.linalg.norm(found, axis=1, keepdims=True).clip(1e-9)


def _sizes(side: int) -> Float[np.ndarray, " g"]:
    """Return how many pixels each cell of a side adds up, at least one."""
    starts = np.arange(GRID + 1) * side // GRID
    return np.diff(starts).clip(1).astype(float)


def _turned(
    picture: Float[np.ndarray, " g"], turn: tuple[slice, slice]
) -> Float[np.ndarray, " g"]:
    return picture.reshape(GRID, GRID)[turn].ravel()
