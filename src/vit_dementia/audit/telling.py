"""How well a few numbers tell two groups of people apart, with an honest interval.

One number needs no fitting: its AUROC is turned so that it is at least one half, which
the two-sided interval allows for. Several numbers (or categories) are weighed by a
linear discriminant (ridge regression on the side: closed form, and its order is all
that an AUROC reads); everybody is scored by models that were fitted without them.

Shapes: p participants, q others, f features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from vit_dementia.evaluation import intervals, metrics

FEWEST_OF_A_SIDE = 5  # people; with fewer no interval would mean anything
_FOLDS = 5
_REPEATS = 3  # of the division into folds, so that one unlucky one does not decide


@dataclass(frozen=True)
class Told:
    """An AUROC and its interval; 0.5 is chance.

    Attributes:
        auroc: in [0, 1].
        low: lower end.
        high: upper end.
    """

    auroc: float
    low: float
    high: float


CHANCE = Told(0.5, 0.5, 0.5)
"""What a number tells that is the same for everybody."""


def tell(
    features: Float[np.ndarray, "p f"],
    is_positive: Bool[np.ndarray, " p"],
    *,
    level: float,
    seed: int,
) -> Told:
    """Return how well the features tell positives from the others, one row a person.

    Args:
        features: without missing values.
        is_positive: at least five people on each side.
        level: of the interval, say 0.95.
        seed: of the division into folds.

    >>> number = np.arange(40.0)[:, None]
    >>> tell(number, number[:, 0] < 20, level=0.95, seed=0).auroc
    1.0
    """
    varying = np.ptp(features, axis=0) > 0
    if not varying.any():
        return CHANCE
    if varying.sum() == 1:
        score = features[:, varying][:, 0]
        if metrics.auroc(is_positive, score) < 0.5:
            score = -score
    else:
        score = held_out_scores(features[:, varying], is_positive, seed=seed)
    return interval_of(is_positive, score, level=level)


def held_out_scores(
    features: Float[np.ndarray, "p f"],
    is_positive: Bool[np.ndarray, " p"],
    *,
    seed: int,
) -> Float[np.ndarray, " p"]:
    """Score everybody by models that have not seen them; the mean over repeats."""
    from sklearn.model_selection import StratifiedKFold

    folds = min(_FOLDS, *_sizes(is_positive))
    scores = np.zeros(len(features))
    for repeat in range(_REPEATS):
        divided = StratifiedKFold(folds, shuffle=True, random_state=seed + repeat)
        for known, asked in divided.split(features, is_positive):
            scores[asked] += discriminant(
                features[known], is_positive[known], features[asked]
            )
    return scores / _REPEATS


def discriminant(
    features: Float[np.ndarray, "p f"],
    is_positive: Bool[np.ndarray, " p"],
    asked: Float[np.ndarray, "q f"],
) -> Float[np.ndarray, " q"]:
    """Score others along the direction in which the two sides lie farthest apart.

    Ridge regression on the side, both sides weighing the same, of features scaled to
    unit variance, with a penalty of 1.

    >>> features, is_positive = np.array([[0.0, 5], [1, 5]]), np.array([False, True])
    >>> discriminant(features, is_positive, features).round(1).tolist()
    [-0.7, 0.7]
    """
    spread = features.std(axis=0)
    spread[spread == 0] = np.inf  # the same in everybody here
    weight = len(features) / 2 / np.where(is_positive, *_sizes(is_positive))
    center = np.average(features, axis=0, weights=weight)
    scaled = (features - center) / spread
    weighed = scaled.T * weight
    covariance = weighed @ scaled + np.eye(len(spread))
    slope = np.linalg.solve(covariance, weighed @ np.where(is_positive, 1.0, -1.0))
    scores: np.ndarray = (asked - center) / spread @ slope
    return scores


def _sizes(is_positive: Bool[np.ndarray, " p"]) -> tuple[int, int]:
    return int(is_positive.sum()), int((~is_positive).sum())


def interval_of(
    is_positive: Bool[np.ndarray, " p"], score: Float[np.ndarray, " p"], *, level: float
) -> Told:
    """Return the AUROC of a score with DeLong's interval on the logit scale.

    Where nobody is out of order DeLong's variance is 0; the lower end is then the
    better one of Newcombe's and of that which one tied pair would have.
    """
    found = intervals.delong_logit(is_positive, score, level=level)
    value = metrics.auroc(is_positive, score)
    if value < 1:
        return Told(value, found.low, found.high)
    # Order within the sides counts for nothing, so ties may be broken at will.
    ranks = stats.rankdata(score, method="ordinal").astype(np.float64)
    ranks[np.flatnonzero(is_positive)[ranks[is_positive].argmin()]] = ranks[
        ~is_positive
    ].max()
    nearly = intervals.delong_logit(is_positive, ranks, level=level)
    return Told(value, max(found.low, nearly.low), found.high)
