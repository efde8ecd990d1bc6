"""Where to draw the line between yes and no, and what a line is worth.

A participant is called positive when the score is **above** the threshold. Net benefit:
Vickers & Elkin 2006. A threshold is chosen on validation participants and used on
others; chosen on those it is scored on, it flatters.

Shapes: n participants, t thresholds, b weightings.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from vit_dementia.evaluation import weighted
from vit_dementia.evaluation.metrics import UndefinedScoreError

Mask = Bool[np.ndarray, " n"]
Scores = Float[np.ndarray, " n"]
_ROUNDING = 1e-9  # 0.9 * 10 is 9, whatever the processor says


def threshold_for_specificity(
    is_positive: Mask, score: Scores, *, specificity: float
) -> float:
    """Return the lowest threshold that clears at least this share of the negatives.

    >>> is_positive, score = np.array([False, False, True]), np.array([0.1, 0.4, 0.3])
    >>> threshold_for_specificity(is_positive, score, specificity=0.5)
    0.1
    """
    if is_positive.all():
        raise UndefinedScoreError("no negatives to set a threshold by")
    negative = score[~is_positive]
    return float(np.quantile(negative, specificity, method="inverted_cdf"))


def balanced_threshold(is_positive: Mask, score: Scores) -> float:
    """Return the threshold with the most sensitivity + specificity (Youden 1950).

    It lies midway between two scores; of equally good ones it is the nearest to 0.5.

    >>> balanced_threshold(np.array([False, True]), np.array([0.25, 0.5]))
    0.375
    """
    if is_positive.all() or not is_positive.any():
        raise UndefinedScoreError("all participants are on one side")
    ones = np.ones((1, len(score)))
    positive, negative = weighted.by_rising_score(is_positive, score, ones)
    distinct = np.unique(score)
    if len(distinct) < 2:
        raise UndefinedScoreError("everybody was told the same probability")
    missed = np.cumsum(positive[0])[:-1] / positive.sum()
    cleared = np.cumsum(negative[0])[:-1] / negative.sum()
    middle = (distinct[1:] + distinct[:-1]) / 2
    best = np.flatnonzero(cleared - missed >= (cleared - missed).max() - _ROUNDING)
    return float(middle[best[np.abs(middle[best] - 0.5).argmin()]])


def sensitivity_at_specificity(
    is_positive: Mask, score: Scores, *, specificity: float
) -> float:
    """Share of positives found when at least this share of negatives is cleared.

    In [0, 1]; higher is better. The threshold is chosen on the same participants.

    >>> is_positive, score = np.array([False, False, True]), np.array([0.1, 0.4, 0.3])
    >>> sensitivity_at_specificity(is_positive, score, specificity=0.5)
    1.0
    """
    if is_positive.all():
        raise UndefinedScoreError("no negatives to set a threshold by")
    if not is_positive.any():
        raise UndefinedScoreError("no positives")
    ones = np.ones((1, len(score)))
    found = weighted_sensitivity(is_positive, score, ones, specificity=specificity)
    return float(found[0])


def weighted_sensitivity(
    is_positive: Mask,
    score: Scores,
    weights: Float[np.ndarray, "b n"],
    *,
    specificity: float,
) -> Float[np.ndarray, " b"]:
    """Return the same under many row weights, each with a threshold of its own."""
    positive, negative = weighted.by_rising_score(is_positive, score, weights)
    cleared, total = np.cumsum(negative, axis=1), negative.sum(axis=1, keepdims=True)
    enough = cleared >= specificity * total - _ROUNDING
    above = np.cumsum(positive[:, ::-1], axis=1)[:, ::-1] - positive
    first = enough.argmax(axis=1)[:, None]  # the lowest threshold that clears enough
    found = np.take_along_axis(above, first, axis=1)[:, 0]
    return np.where(
        total[:, 0] > 0, weighted.ratio(found, positive.sum(axis=1)), np.nan
    )


def predictive_values(
    sensitivity: float, specificity: float, *, prevalence: float
) -> tuple[float, float]:
    """Return PPV and NPV where this share of people is positive (Bayes).

    PPV: how likely somebody flagged is positive; NPV: somebody cleared negative.

    >>> ppv, npv = predictive_values(0.9, 0.9, prevalence=0.1)
    >>> round(ppv, 3), round(npv, 3)
    (0.5, 0.988)
    """
    if not 0 < prevalence < 1:
        raise ValueError("a prevalence lies between 0 and 1")
    found, missed = sensitivity * prevalence, (1 - sensitivity) * prevalence
    cleared = specificity * (1 - prevalence)
    alarmed = (1 - specificity) * (1 - prevalence)
    if found + alarmed == 0:
        raise UndefinedScoreError("nobody is flagged")
    if missed + cleared == 0:
        raise UndefinedScoreError("nobody is cleared")
    return found / (found + alarmed), cleared / (cleared + missed)


def net_benefit(
    is_positive: Mask, probability: Scores, thresholds: Float[np.ndarray, " t"]
) -> Float[np.ndarray, " t"]:
    """Return true positives less false ones at their price, as a share of everybody.

    The price of a false alarm is the odds of the threshold: whoever acts at 20 % finds
    one hit worth four alarms. Higher is better; 0 is flagging nobody.

    >>> is_positive, told = np.array([True, False]), np.array([0.9, 0.3])
    >>> net_benefit(is_positive, told, np.array([0.2, 0.5]))
    array([0.375, 0.5  ])
    """
    _between_0_and_1(thresholds)
    flagged = probability > thresholds[:, None]
    hits = (flagged & is_positive).mean(axis=1)
    alarms = (flagged & ~is_positive).mean(axis=1)
    return hits - alarms * thresholds / (1 - thresholds)


def net_benefit_of_flagging_all(
    prevalence: float, thresholds: Float[np.ndarray, " t"]
) -> Float[np.ndarray, " t"]:
    """Return the net benefit of calling everybody positive.

    >>> net_benefit_of_flagging_all(0.5, np.array([0.2, 0.5]))
    array([0.375, 0.   ])
    """
    _between_0_and_1(thresholds)
    return prevalence - (1 - prevalence) * thresholds / (1 - thresholds)


def _between_0_and_1(thresholds: Float[np.ndarray, " t"]) -> None:
    if not ((thresholds > 0) & (thresholds < 1)).all():
        raise ValueError("thresholds lie between 0 and 1")
