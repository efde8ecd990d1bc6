"""Two-sided intervals for scores, by resampling participants or in closed form.

People are drawn, never scans: a participant's scans come and go together. A score that
depends on prevalence is resampled over everybody; one that does not (AUROC,
sensitivity, specificity, balanced accuracy) within the classes. Wilson (1927) for
proportions; DeLong et al. (1988) on the logit scale, Newcombe (2006, method 5) and BCa
(Efron 1987) for AUROC.

Shapes: n rows, p participants, b resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import optimize, special, stats

from vit_dementia.evaluation.metrics import UndefinedScoreError, auroc

Kernel = Callable[[np.ndarray], np.ndarray]  # weights "b n" to scores " b"
Replicates = Float[np.ndarray, " b"]

LEVEL = 0.95
REPLICATES = 2000
_MOST_UNDEFINED = 0.05  # of the resamples; above it an interval would be a fiction
_CELLS_AT_ONCE = 2**22  # weights held in memory while resampling: 32 MiB


@dataclass(frozen=True)
class Interval:
    """Two ends and, in words, how they were found."""

    low: float
    high: float
    method: str


@dataclass(frozen=True)
class People:
    """Whose the rows are, and within which groups people are drawn."""

    row_of: Int[np.ndarray, " n"]  # position of each row's participant
    stratum: Int[np.ndarray, " p"]  # group of each participant

    @classmethod
    def of(cls, ids: Sequence[str], strata: Sequence[object] | None = None) -> People:
        """Count people by their ids, one id per row; strata are per row too.

        >>> People.of(["b", "a", "b"]).row_of
        array([1, 0, 1])
        """
        _, first, row_of = np.unique(ids, return_index=True, return_inverse=True)
        groups = ["all"] * len(row_of) if strata is None else [str(s) for s in strata]
        _, stratum = np.unique([groups[row] for row in first], return_inverse=True)
        return cls(row_of, stratum)


def wilson(found: int, total: int, *, level: float = LEVEL) -> Interval:
    """Return Wilson's score interval of a proportion.

    >>> interval = wilson(8, 10)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.4902, 0.9433)
    """
    if not total:
        raise UndefinedScoreError("a share of nothing")
    z = _z(level)
    share, shrink = found / total, 1 + z**2 / total
    middle = (share + z**2 / (2 * total)) / shrink
    half = z * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2)) / shrink
    low = 0.0 if found == 0 else float(middle - half)  # exact ends, not -1e-17
    high = 1.0 if found == total else float(middle + half)
    return Interval(low, high, "Wilson")


def delong_variance(
    is_positive: Bool[np.ndarray, " n"], scores: Float[np.ndarray, "s n"]
) -> Float[np.ndarray, "s s"]:
    """Return the covariance matrix of the AUROCs of s scores of the same rows.

    >>> score = np.array([[0.1, 0.4, 0.4, 0.8]])
    >>> delong_variance(np.array([False, True, False, True]), score)
    array([[0.03125]])
    """
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if min(positives, negatives) < 2:
        raise UndefinedScoreError("one participant in a class")
    # How much of the other class each row beats, by midranks (Sun & Xu 2014).
    ranks = stats.rankdata(scores, axis=1)
    own_p = stats.rankdata(scores[:, is_positive], axis=1)
    own_n = stats.rankdata(scores[:, ~is_positive], axis=1)
    beaten = (ranks[:, is_positive] - own_p) / negatives
    beating = 1 - (ranks[:, ~is_positive] - own_n) / positives
    cov_p = np.atleast_2d(np.cov(beaten))
    cov_n = np.atleast_2d(np.cov(beating))
    return cov_p / positives + cov_n / negatives


def delong_logit(
    is_positive: Bool[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    *,
    level: float = LEVEL,
) -> Interval:
    """Return DeLong's interval of AUROC, built on the logit scale to stay in [0, 1].

    At an AUROC of exactly 0 or 1, where DeLong's variance is 0, Newcombe's instead.
    """
    value = auroc(is_positive, score)
    if value in (0, 1):
        positives = int(is_positive.sum())
        return newcombe(value, positives, len(score) - positives, level=level)
    variance = delong_variance(is_positive, score[None])[0, 0]
    half = _z(level) * np.sqrt(variance) / (value * (1 - value))
    ends = special.expit(special.logit(value) + np.array([-half, half]))
    return Interval(float(ends[0]), float(ends[1]), "DeLong on the logit scale")


def newcombe(
    value: float, positives: int, negatives: int, *, level: float = LEVEL
) -> Interval:
    """Return Newcombe's interval of an AUROC from its value and the two counts alone.

    >>> interval = newcombe(1.0, 10, 10)
    >>> round(interval.low, 2), interval.high
    (0.8, 1.0)
    """
    if min(positives, negatives) < 2:
        raise UndefinedScoreError("one participant in a class")
    z, mean = _z(level), (positives + negatives) / 2

    def excess(theta: float) -> float:
        spread = theta / (1 + theta) + (1 - theta) / (2 - theta)
        variance = theta * (1 - theta) * (1 + (mean - 1) * spread)
        return float(z**2 * variance / (positives * negatives) - (theta - value) ** 2)

    low = 0.0 if value == 0 else optimize.brentq(excess, 0, value - 1e-9)
    high = 1.0 if value == 1 else optimize.brentq(excess, value + 1e-9, 1)
    return Interval(float(low), float(high), "Newcombe")


def draw(
    stratum: Int[np.ndarray, " p"], *, replicates: int, rng: np.random.Generator
) -> Float[np.ndarray, "b p"]:
    """Draw people with replacement within each stratum: how often each one came.

    >>> draw(np.array([0, 1]), replicates=1, rng=np.random.default_rng(0))
    array([[1., 1.]])
    """
    weights = np.empty((replicates, len(stratum)))
    for group in np.unique(stratum):
        members = np.flatnonzero(stratum == group)
        share = np.full(len(members), 1 / len(members))
        weights[:, members] = rng.multinomial(len(members), share, size=replicates)
    return weights


def bootstrap(
    kernel: Kernel, people: People, *, seed: int, replicates: int = REPLICATES
) -> Replicates:
    """Return a score of that many resamples of people; NaN where it is undefined."""
    sizes = list(_chunks(replicates, len(people.row_of)))
    if len(sizes) == 1:
        drawn = _drawn(tuple(people.stratum.tolist()), replicates, seed)
        return kernel(drawn[:, people.row_of])
    rng = np.random.default_rng(seed)
    parts = [
        kernel(draw(people.stratum, replicates=size, rng=rng)[:, people.row_of])
        for size in sizes
    ]
    return np.concatenate(parts)


@lru_cache(maxsize=4)
def _drawn(stratum: tuple[int, ...], replicates: int, seed: int) -> np.ndarray:
    """Draw people once for all scores that are resampled alike."""
    rng = np.random.default_rng(seed)
    drawn = draw(np.array(stratum), replicates=replicates, rng=rng)
    drawn.setflags(write=False)
    return drawn


def percentile(replicates: Replicates, *, level: float = LEVEL) -> Interval:
    """Return the middle ``level`` of the resampled scores."""
    defined = _defined(replicates)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), "percentile bootstrap")


def bca(
    kernel: Kernel, people: People, replicates: Replicates, *, level: float = LEVEL
) -> Interval:
    """Return the bias-corrected and accelerated interval of resampled scores."""
    defined = _defined(replicates)
    value = kernel(np.ones((1, len(people.row_of))))[0]
    below = np.mean(defined < value) + np.mean(defined == value) / 2
    bias = special.ndtri(np.clip(below, 0.5 / len(defined), 1 - 0.5 / len(defined)))
    z = bias + _z(level) * np.array([-1, 1])
    share = special.ndtr(bias + z / (1 - _acceleration(kernel, people) * z))
    low, high = np.quantile(defined, share)
    return Interval(float(low), float(high), "BCa bootstrap")


def _acceleration(kernel: Kernel, people: People) -> float:
    """Return the skewness of each participant's influence, by leaving one out.

    Over several strata as in Davison & Hinkley (1997), Eq. 5.25.
    """
    size = np.bincount(people.stratum)
    left_out = [
        kernel(1.0 - (np.arange(start, stop)[:, None] == people.row_of))
        for start, stop in _ranges(len(people.stratum), len(people.row_of))
    ]
    without = np.concatenate(left_out)
    without = np.where(np.isnan(without), np.nanmean(without), without)
    mean = np.bincount(people.stratum, without) / size
    n = size[people.stratum]
    influence = (n - 1) * (mean[people.stratum] - without)
    squares = np.sum((influence / n) ** 2)
    if squares == 0:
        return 0.0
    return float(np.sum((influence / n) ** 3) / squares**1.5 / 6)


def _defined(replicates: Replicates) -> Float[np.ndarray, " defined"]:
    undefined = np.isnan(replicates)
    if undefined.mean() > _MOST_UNDEFINED:
        share = f"{undefined.mean():.0%}"
        raise UndefinedScoreError(f"no interval: undefined in {share} of the resamples")
    defined = replicates[~undefined]
    if np.ptp(defined) == 0:
        raise UndefinedScoreError("no interval: all resamples give the same score")
    return defined


def _chunks(replicates: int, rows: int) -> Iterator[int]:
    for start, stop in _ranges(replicates, rows):
        yield stop - start


def _ranges(total: int, rows: int) -> Iterator[tuple[int, int]]:
    step = max(1, _CELLS_AT_ONCE // max(rows, 1))
    for start in range(0, total, step):
        yield start, min(start + step, total)


def _z(level: float) -> float:
    return float(special.ndtri((1 + level) / 2))
