"""How the gray values of a scan lie: which tissue is bright, how deep, how unevenly.

In a T1-weighted picture the rim and the ventricles are dark and what lies deep is
bright; T2 and proton density have it another way round, whatever the shape of the head.
Some facts of a picture tell that without saying whose it is: the ranks of its gray
values, their means from the rim to the core, whether small spots stand out dark or
bright, and how much of the picture is head. A scan lies as far from those of the
training as Mahalanobis's distance of these facts says. The limit is a conformal one by
participant (Vovk et al. 2005): each training participant's farthest picture, measured
without them, is below it for all but 3 of 100, and it is then moved out a little more,
the fewer they are.

Shapes: ``n`` pictures, ``f`` facts of each, ``space`` the sides of a picture, ``cells``
those of a coarser one, ``v`` values, ``r`` ranks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy import ndimage

CELLS = {2: 48, 3: 24}  # along the shortest side of slices and volumes, or all pixels
_BLACK, _WHITE = 0.5, 99.5  # percentiles of a picture
_AIR = 0.08  # of the way from black to white: what is darker is not head
_BESIDE = 0.4  # percent of the pixels on either side of these two, averaged with them
_RANKS = (5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0)  # percentiles within the head
_BESIDE_RANKS = 2.0  # the same of those; of the few values of a dark scan, one is rough
_DEPTHS = 5  # parts of as many pixels, from the rim to the core
_AROUND = 7  # cells a side, whose mean a cell is compared with
_MOST_SPREAD = 3.0  # standard deviations that one spot counts
_MOST_SKEWED = 6.0  # which is told as 1
_LEAST_SPREAD = 0.02  # of the facts; rounding to 8 bits alone moves them as much
_SHRUNK = 0.1  # of the correlations, towards none, so that few scans suffice
_LEVEL = 0.97  # of the participants lie within the limit
FACTS = len(_RANKS) + _DEPTHS + 2


@dataclass(frozen=True)
class Contrast:
    """How the gray values of training pictures lie, and how much they differ.

    Attributes:
        middle: the mean of each fact.
        weights: what a difference from it is multiplied by; its length is the distance.
        limit: distance above which a picture is of another kind.
    """

    middle: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    limit: float

    @classmethod
    def of(
        cls, facts: Float[np.ndarray, "n f"], whose: Int[np.ndarray, " n"], parts: int
    ) -> Contrast:
        """Learn the facts of training pictures.

        Args:
            facts: of each picture.
            whose: participants, numbered from 0.
            parts: in how many the participants are left out, one after the other.
        """
        away = np.empty(len(facts))
        for part in range(parts):
            left_out = whose % parts == part
            if left_out.any():
                middle, weights = _learned(facts[~left_out])
                away[left_out] = _away(facts[left_out], middle, weights)
        farthest = np.sort([away[whose == one].max() for one in np.unique(whose)])
        rank = min(math.ceil((len(farthest) + 1) * _LEVEL), len(farthest))
        limit = farthest[rank - 1] * (1 + 1 / math.sqrt(len(farthest)))
        middle, weights = _learned(facts)
        return cls(
            tuple(map(_short, middle)),
            tuple(tuple(map(_short, row)) for row in weights),
            _short(max(limit, 1.0)),
        )

    def distance(self, facts: Float[np.ndarray, "n f"]) -> Float[np.ndarray, " n"]:
        """Return how far each picture lies from the training; 1 is the limit."""
        return _away(facts, np.array(self.middle), np.array(self.weights)) / self.limit

    def to_dict(self) -> dict[str, Any]:
        """Return the part ``contrast`` of ``likeness.json``."""
        return {
            "middle": list(self.middle),
            "weights": [list(row) for row in self.weights],
            "limit": self.limit,
        }

    @classmethod
    def from_dict(cls, told: Any) -> Contrast:
        """Read what `to_dict` returned.

        Raises:
            ValueError: if the numbers cannot be.
        """
        read = cls(
            tuple(map(float, told["middle"])),
            tuple(tuple(map(float, row)) for row in told["weights"]),
            float(told["limit"]),
        )
        rows = [read.middle, *read.weights]
        if len(rows) != 1 + FACTS or any(len(row) != FACTS for row in rows):
            raise ValueError(f"contrast needs {FACTS} facts")
        if not np.isfinite(rows).all() or not 1 <= read.limit < math.inf:
            raise ValueError("contrast holds numbers that cannot be")
        return read


def facts_of(images: UInt8[np.ndarray, "n c *space"]) -> Float[np.ndarray, "n f"]:
    """Return the facts of each prepared picture, one at a time: there may be many."""
    found = np.empty((len(images), FACTS))
    for place, image in enumerate(images):
        gray = image.mean(axis=0, dtype=np.float32)
        found[place] = _facts(_stretched(_smaller(gray)))
    return found


def _facts(gray: Float[np.ndarray, "*space"]) -> Float[np.ndarray, " f"]:
    head = gray > _AIR
    if head.sum() < FACTS:
        head = np.ones_like(head)
    inside = gray[head]
    full = head.astype(np.float32)
    # How much of a window half as wide as the picture is head tells the rim from the
    # core; 16 bits of it are enough for an order, and are sorted fast.
    wide = [max(1, length // 2) for length in gray.shape]
    depth = ndimage.uniform_filter(full, wide, mode="constant")[head].clip(0, 1)
    by_depth = inside[np.argsort((depth * 65535).astype(np.uint16), kind="stable")]
    share = ndimage.uniform_filter(full, _AROUND)[head]
    spots = inside - ndimage.uniform_filter(gray * full, _AROUND)[head] / share
    spread = max(float(spots.std()), 1e-6)
    # Noise beside a head that is just bright enough to count must not decide.
    standing_out = (spots / spread).clip(-_MOST_SPREAD, _MOST_SPREAD)
    skewed = float((standing_out**3).mean()) / _MOST_SKEWED
    return np.array(
        [
            *_percentiles(inside, _RANKS, _BESIDE_RANKS),
            *(part.mean() for part in np.array_split(by_depth, _DEPTHS)),
            np.clip(skewed, -1.0, 1.0),
            head.mean(),
        ]
    )


def _smaller(gray: Float[np.ndarray, "*space"]) -> Float[np.ndarray, "*cells"]:
    """Return the means of cubes of pixels, ``CELLS`` or more along each side."""
    side = max(1, min(gray.shape) // CELLS[gray.ndim])
    for axis, length in enumerate(gray.shape):
        whole = gray.take(np.arange(length // side * side), axis=axis)
        cut = (*whole.shape[:axis], length // side, side, *whole.shape[axis + 1 :])
        gray = whole.reshape(cut).mean(axis=axis + 1)
    return gray


def _stretched(gray: Float[np.ndarray, "*space"]) -> Float[np.ndarray, "*space"]:
    """Return gray values from black to white, whatever brightness the scanner gave."""
    black, white = _percentiles(gray.ravel(), (_BLACK, _WHITE), _BESIDE)
    return np.clip((gray - black) / max(white - black, 1e-6), 0.0, 1.0)


def _percentiles(
    values: Float[np.ndarray, " v"], ranks: tuple[float, ...], beside: float
) -> Float[np.ndarray, " r"]:
    """Return the mean of the values ``beside`` percent around some ranks of 100."""
    ordered, last = np.sort(values), len(values) - 1
    low = np.rint((np.array(ranks) - beside) / 100 * last).astype(int)
    high = np.rint((np.array(ranks) + beside) / 100 * last).astype(int)
    return np.array([ordered[a : b + 1].mean() for a, b in zip(low, high, strict=True)])


def _learned(
    facts: Float[np.ndarray, "n f"],
) -> tuple[Float[np.ndarray, " f"], Float[np.ndarray, "f f"]]:
    """Return the mean, and the weights that make Mahalanobis's distance a length."""
    middle = facts.mean(axis=0)
    away = facts - middle
    varied = away.T @ away / len(away)
    varied += _SHRUNK * (np.diag(np.diag(varied)) - varied)
    varied += _LEAST_SPREAD**2 * np.eye(FACTS)
    return middle, np.linalg.cholesky(np.linalg.inv(varied))


def _away(
    facts: Float[np.ndarray, "n f"],
    middle: Float[np.ndarray, " f"],
    weights: Float[np.ndarray, "f f"],
) -> Float[np.ndarray, " n"]:
    return np.linalg.norm((facts - middle) @ weights, axis=1)


def _short(value: float) -> float:
    return round(float(value), 5)
