"""Whether a scan looks like those of the training: not noise, no photograph, upright.

A slice is brought down to 16 x 16 gray values, less their mean and to unit length. The
training keeps the mean of these pictures, too coarse to show anybody, and the few
directions in which they differ most. A slice is something else if its product with the
mean is far below that of every training slice, or (of a hundred and more) if it lies
further from mean and directions. One that fits clearly better upside down, where hardly
a training slice does, is upside down. One whose head fits better as a negative, where
every training slice is far from that, has another contrast, as T2 has; so has one
whose gray values lie otherwise than theirs (``preparation.contrast``). Each training
slice is compared with what was learned without the person it shows. This finds what is
grossly wrong and nothing else: it is no judgment of quality. A volume is looked at from
the side: the mean along its last axis, from left to right; its gray values, as it is.

Shapes: ``n`` scans, ``m`` of them left out, ``c`` channels, ``space`` the two sides of
a slice or the three of a volume, ``g`` cells of the grid, ``d`` directions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from vit_dementia.errors import CheckpointError
from vit_dementia.preparation.contrast import Contrast, facts_of

FORMAT = 3
GRID = 16  # cells a side
FEWEST = 5  # participants, so that the mean is nobody's picture
_LEAST_MARGIN = 0.1  # below the least alike training slice, and twice its distance
_DIRECTIONS = 8  # at most, and one for every so many slices:
_SLICES_EACH = 20
_FARTHER = 1.3  # times the training slice that lies farthest when left out
_BLOCKS = 5  # of participants, left out in turn
_RARE = 0.01  # of the training slices may fit better in a turn that is wrong
_ENOUGH = 100  # training slices, for a distance to mean something
_PEOPLE = 20  # of fewer, a head that fits better in a wrong turn may just be missing
_FARTHEST = 2.0  # of pictures of unit length
_TURNS: Mapping[str, tuple[slice, slice]] = {
    "upside down": (slice(None, None, -1), slice(None)),
    "turned by half": (slice(None, None, -1), slice(None, None, -1)),
}
NEGATIVE = "as a negative, as if of another contrast (T2?)"
_CLEARLY = 0.015  # by how much a scan fits better in a turn
_LEAST_POSITIVE = 0.1  # correlation within the head, of every training slice

UNLIKE = (
    "does not look like the scans of the training: another kind of picture, plane or "
    "contrast, or other preparation; needs a scan like those"
)
OTHER_GRAYS = (
    "its gray values lie otherwise than in the scans of the training: another contrast "
    "(T2?), kind of picture or preparation; needs a scan like those"
)
TURNED = "fits the scans of the training better {}; needs to be as they are"


class Judged(NamedTuple):
    """How far a slice is from those of the training, and what is wrong with it.

    Attributes:
        distance: at 1 is the limit; of the three distances the one that is nearest to
            its limit, or farthest beyond.
        reason: why it is unlike them; empty if it is not.
    """

    distance: float
    reason: str


@dataclass(frozen=True)
class Likeness:
    """What training slices look like on average, and how alike they are.

    Attributes:
        picture: of ``GRID`` x ``GRID`` cells, row by row.
        lowest: product with the picture below which a slice is something else.
        directions: pictures of unit length in which training slices differ most.
        farthest: distance from picture and directions above which it is, too.
        telling: turns that hardly a training slice fits better in, where people are
            enough to say so, and whether none is like a negative.
        contrast: how their gray values lie.
    """

    picture: tuple[float, ...]
    lowest: float
    directions: tuple[tuple[float, ...], ...]
    farthest: float
    telling: tuple[str, ...]
    contrast: Contrast

    @classmethod
    def of(
        cls,
        images: UInt8[np.ndarray, "n c *space"],
        whose: Shaped[np.ndarray, " n"] | None = None,
    ) -> Likeness:
        """Learn what prepared slices of a training look like.

        Args:
            images: of the training.
            whose: participant of each; None: nobody knows, and neighbors may show the
                same person, so that they are left out together.
        """
        coarse = _coarse(images)
        mean, directions = _main_directions(coarse)
        who = _numbered(whose, len(coarse))
        left_out = list(_left_out(coarse, who))
        alike = np.concatenate([seen @ m for seen, m, _ in left_out])
        spread = float(np.median(alike) - alike.min())
        lowest = float(alike.min()) - max(_LEAST_MARGIN, 2 * spread)
        farthest = _FARTHEST
        if len(coarse) >= _ENOUGH:
            longest = max(_distance(*one).max() for one in left_out)
            farthest = min(farthest, _FARTHER * float(longest))
        telling = [
            name
            for name, turn in _TURNS.items()
            if len(np.unique(who)) >= _PEOPLE
            and np.mean(
                np.concatenate(
                    [seen @ (_turned(m, turn) - m) >= 0 for seen, m, _ in left_out]
                )
            )
            <= _RARE
        ]
        within = [_within_the_head(seen, m).min() for seen, m, _ in left_out]
        if min(within) >= _LEAST_POSITIVE:
            telling.append(NEGATIVE)
        return cls(
            _rounded(mean),
            round(lowest, 4),
            tuple(map(_rounded, directions)),
            round(farthest, 4),
            tuple(telling),
            Contrast.of(facts_of(images), who, _BLOCKS),
        )

    def reasons(self, images: UInt8[np.ndarray, "n c *space"]) -> list[str]:
        """Say of each prepared slice why it is unlike the training's; empty if not."""
        return [one.reason for one in self.judge(images)]

    def judge(self, images: UInt8[np.ndarray, "n c *space"]) -> list[Judged]:
        """Say of each prepared slice how far from the training's it is, and why."""
        mean = np.array(self.picture)
        coarse = _coarse(images)
        directions = np.array(self.directions).reshape(-1, GRID**2)
        away = (1 - coarse @ mean) / (1 - self.lowest)
        farther = _distance(coarse, mean, directions) / self.farthest
        grays = self.contrast.distance(facts_of(images))
        found = [(UNLIKE, away > 1)]
        for name in self.telling:
            if name == NEGATIVE:
                turned = _within_the_head(coarse, mean) < 0
            else:
                turned = coarse @ (mean - _turned(mean, _TURNS[name])) < -_CLEARLY
            found.append((TURNED.format(name), turned))
        found += [(UNLIKE, farther > 1), (OTHER_GRAYS, grays > 1)]
        said = [""] * len(coarse)
        for reason, wrong in found:  # the first that fits
            said = [one or reason * bool(w) for one, w in zip(said, wrong, strict=True)]
        longest = np.maximum(np.maximum(away, farther), grays).round(4).tolist()
        return [Judged(*one) for one in zip(longest, said, strict=True)]

    def to_dict(self, *, model: str) -> dict[str, Any]:
        """Return the content of ``likeness.json``."""
        return {
            "format": FORMAT,
            "model": model,
            "picture": list(self.picture),
            "lowest": self.lowest,
            "directions": [list(one) for one in self.directions],
            "farthest": self.farthest,
            "telling": list(self.telling),
            "contrast": self.contrast.to_dict(),
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
            raise CheckpointError(
                f"{where}: format {FORMAT} is needed; train again, or remove it to "
                "predict without it"
            )
        if told.get("model") != model:
            raise CheckpointError(
                f"{where}: belongs to other weights than those beside it; remove it to "
                "predict without it"
            )
        try:
            read = cls(
                tuple(map(float, told["picture"])),
                float(told["lowest"]),
                tuple(tuple(map(float, one)) for one in told["directions"]),
                float(told["farthest"]),
                tuple(name for name in (*_TURNS, NEGATIVE) if name in told["telling"]),
                Contrast.from_dict(told["contrast"]),
            )
        except (KeyError, TypeError, ValueError) as cause:
            raise CheckpointError(f"{where}: is damaged ({cause})") from cause
        if not (read.lowest < 1 and read.farthest > 0):
            raise CheckpointError(f"{where}: is damaged (limits that cannot be)")
        for one in (read.picture, *read.directions):
            if len(one) != GRID**2 or not np.isfinite(one).all():
                raise CheckpointError(
                    f"{where}: is damaged (no picture of {GRID} x {GRID})"
                )
        return read


def _main_directions(
    coarse: Float[np.ndarray, "n g"],
) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, "d g"]]:
    """Return the mean, to unit length, and the directions of most variance about it."""
    mean = coarse.mean(axis=0)
    mean /= max(float(np.linalg.norm(mean)), 1e-9)
    count = min(_DIRECTIONS, len(coarse) // _SLICES_EACH)
    away = coarse - mean
    vectors = np.linalg.eigh(away.T @ away)[1].T  # the last varies most
    return mean, vectors[::-1][:count]


def _distance(
    coarse: Float[np.ndarray, "n g"],
    mean: Float[np.ndarray, " g"],
    directions: Float[np.ndarray, "d g"],
) -> Float[np.ndarray, " n"]:
    """Return how far each is from the nearest sum of the mean and the directions."""
    away = coarse - mean
    away -= (away @ directions.T) @ directions
    return np.linalg.norm(away, axis=1)


def _numbered(
    whose: Shaped[np.ndarray, " n"] | None, count: int
) -> Int[np.ndarray, " n"]:
    """Return a number for each participant, whom every so many are left out with.

    Where nobody is known, a row counts as a participant, and neighbors as those who
    are left out together.
    """
    if whose is not None:
        return np.unique(whose, return_inverse=True)[1]
    rows = np.arange(count)
    parts = np.array_split(rows, _BLOCKS)
    return np.concatenate(
        [np.arange(len(part)) * _BLOCKS + number for number, part in enumerate(parts)]
    )


def _left_out(
    coarse: Float[np.ndarray, "n g"], who: Int[np.ndarray, " n"]
) -> Iterator[
    tuple[Float[np.ndarray, "m g"], Float[np.ndarray, " g"], Float[np.ndarray, "d g"]]
]:
    """Yield those of each block of people beside mean and directions of the others."""
    for block in np.unique(who % _BLOCKS):
        mine = who % _BLOCKS == block
        yield coarse[mine], *_main_directions(coarse[~mine])


def _rounded(picture: Float[np.ndarray, " g"]) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in picture)


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


def _within_the_head(
    coarse: Float[np.ndarray, "n g"], mean: Float[np.ndarray, " g"]
) -> Float[np.ndarray, " n"]:
    """Return the correlation of each with the mean, over the brighter cells of that."""
    inside = mean > (mean.min() + mean.max()) / 2
    known, seen = mean[inside], coarse[:, inside]
    known, seen = known - known.mean(), seen - seen.mean(axis=1, keepdims=True)
    scale = np.linalg.norm(seen, axis=1) * np.linalg.norm(known)
    return (seen @ known) / scale.clip(1e-9)


def _sizes(side: int) -> Float[np.ndarray, " g"]:
    """Return how many pixels each cell of a side adds up, at least one."""
    starts = np.arange(GRID + 1) * side // GRID
    return np.diff(starts).clip(1).astype(float)


def _turned(
    picture: Float[np.ndarray, " g"], turn: tuple[slice, slice]
) -> Float[np.ndarray, " g"]:
    return picture.reshape(GRID, GRID)[turn].ravel()
