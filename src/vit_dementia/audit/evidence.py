"""How much a likeness speaks for one person: calibrated on the cohort itself.

The worse half of every image's candidates shows what different people reach at the
same height (the strangers); the second best ones show what the next slice of the same
person reaches. Of few people candidates are left who are one person all the same: what
a first calibration groups is taken out of the strangers of the second. A cohort in
which the two do not lie apart has no neighboring slices, and only a likeness far beyond
all strangers (a copy) counts there.

Likenesses are compared after Fisher's z-transform.

Shapes: n images, p pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from vit_dementia.audit.contraction import contract

_LEAST = 5.0  # spreads beyond the median of strangers where one person may begin
_LEAST_ALONE = 8.0  # the same where no neighboring slices are seen
_APART = 8.0  # spreads between strangers and next slices, at least
_MANY = 0.5  # share of images with a next slice, at least
_COPY = 5.0  # spreads of next slices beyond their median where copies begin
_A_COPY = 2.18  # Fisher's z where copies begin if no next slices are seen: r = 0.975
_AGAINST = 0.03  # most that a pair speaks against: two slices apart are as unlike
_FOR = 20.0  # most that one pair speaks for one person
_SOFT = 1.5  # spreads in which evidence grows by one: pairs are not independent
_TINY = 0.02  # least spread, in Fisher's z: rounding and interpolation


@dataclass(frozen=True)
class Calibration:
    """What likenesses mean in one cohort, in Fisher's z.

    Attributes:
        strangers: median likeness of different people at the same height.
        spread: their robust standard deviation.
        neighbors: median likeness of the next slice of the same person; NaN if no
            neighboring slices are seen.
        neighbors_spread: their robust standard deviation.
        threshold: above it a pair speaks for one person, in spreads beyond strangers.
    """

    strangers: float
    spread: float
    neighbors: float
    neighbors_spread: float
    threshold: float

    @property
    def sees_neighbors(self) -> bool:
        """Whether next slices of the same person stand out."""
        return not np.isnan(self.neighbors)

    def excess(self, likeness: Float32[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
        """Return by how many spreads pairs are more alike than strangers."""
        return (fisher(likeness) - self.strangers) / self.spread

    def evidence(self, excess: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
        """Return what speaks for one person (positive) or two (negative)."""
        beyond = excess - self.threshold
        against = np.maximum(beyond / self.threshold, -1) * _AGAINST
        return np.where(beyond < 0, against, np.minimum(beyond / _SOFT, _FOR))

    @property
    def copy(self) -> float:
        """Excess above which two images are the same one, altered perhaps."""
        level = _A_COPY
        if self.sees_neighbors:
            level = self.neighbors + _COPY * self.neighbors_spread
        return max(self.threshold, (level - self.strangers) / self.spread)


def calibrate(
    count: int,
    pairs: Int[np.ndarray, "p 2"],
    likeness: Float32[np.ndarray, " p"],
) -> Calibration:
    """Learn what likenesses mean from the candidates of all images.

    Args:
        count: how many images there are.
        pairs: candidates, each pair once.
        likeness: of each pair, in [-1, 1].

    Of a single image, which has none, nothing is learned: no likeness would do.
    """
    if not len(pairs):
        return Calibration(0.0, _TINY, np.nan, _TINY, np.inf)
    height = fisher(likeness)
    first = _calibrated(count, pairs, height, np.ones(len(pairs), dtype=bool))
    groups = contract(count, pairs, first.evidence(first.excess(likeness)))
    apart = groups[pairs[:, 0]] != groups[pairs[:, 1]]
    return _calibrated(count, pairs, height, apart) if apart.any() else first


def _calibrated(
    count: int,
    pairs: Int[np.ndarray, "p 2"],
    height: Float[np.ndarray, " p"],
    apart: Bool[np.ndarray, " p"],
) -> Calibration:
    """Learn what likenesses mean, if pairs that are apart show strangers."""
    second, rest = _second_and_rest(count, pairs, height, apart)
    middle, spread = robust(rest)
    spread = max(spread, _TINY)
    beyond = (second - middle) / spread
    next_slices = beyond > _APART
    if next_slices.mean() >= _MANY:
        neighbors, neighbors_spread = robust(second[next_slices])
        # There strangers are taken for one person as often as next slices for two.
        threshold = max(_LEAST, (neighbors - middle) / (spread + neighbors_spread))
    else:
        neighbors, neighbors_spread, threshold = np.nan, np.nan, _LEAST_ALONE
    return Calibration(
        strangers=middle,
        spread=spread,
        neighbors=neighbors,
        neighbors_spread=max(neighbors_spread, _TINY),
        threshold=threshold,
    )


def _second_and_rest(
    count: int,
    pairs: Int[np.ndarray, "p 2"],
    height: Float[np.ndarray, " p"],
    apart: Bool[np.ndarray, " p"],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " q"]]:
    """Return each image's second best candidate, and the worse half that is apart.

    The second best is a next slice where every image has a copy, too. If nobody's worse
    half holds a stranger, all pairs that are apart are returned.
    """
    image = np.concatenate([pairs[:, 0], pairs[:, 1]])
    both = np.concatenate([height, height])
    order = np.lexsort((-both, image))
    ordered, owner = both[order], image[order]
    strange = np.concatenate([apart, apart])[order]
    start = np.searchsorted(owner, np.arange(count))
    number = np.bincount(owner, minlength=count)
    rank = np.arange(len(ordered)) - start[owner]
    worse = strange & (rank >= (number[owner] + 1) // 2)
    second = np.full(count, -np.inf)
    second[number > 1] = ordered[start[number > 1] + 1]
    return second, ordered[worse if worse.any() else strange]


def robust(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Return the median, and the median distance from it as a standard deviation.

    >>> robust(np.array([1.0, 2.0, 3.0]))
    (2.0, 1.4826)
    """
    middle = float(np.median(values))
    return middle, float(1.4826 * np.median(np.abs(values - middle)))


def fisher(likeness: Float32[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
    """Return Fisher's z of correlations; perfect ones are kept finite.

    >>> fisher(np.float32([0.0, 1.0])).round(2).tolist()
    [0.0, 4.95]
    """
    return np.arctanh(np.clip(likeness.astype(np.float64), -0.9999, 0.9999))
