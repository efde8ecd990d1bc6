"""Two models on the same participants: is one better, and by how much.

DeLong et al. (1988) and the paired bootstrap for AUROC and other scores, McNemar (1947)
for who is classified right, Holm (1979) when several comparisons are made at once.

Shapes: n participants, m comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import special, stats

from vit_dementia.evaluation import intervals
from vit_dementia.evaluation.intervals import LEVEL, Interval, delong_variance
from vit_dementia.evaluation.measures import Measure
from vit_dementia.evaluation.metrics import UndefinedScoreError, auroc
from vit_dementia.evaluation.rows import Rows


@dataclass(frozen=True)
class Difference:
    """First minus second, its interval, and how surprising it would be by chance."""

    value: float
    interval: Interval
    p_value: float


@dataclass(frozen=True)
class Discordance:
    """Whom one model alone gets right, and how surprising that division would be."""

    only_first: int
    only_second: int
    p_value: float


def delong_difference(
    is_positive: Bool[np.ndarray, " n"],
    first: Float[np.ndarray, " n"],
    second: Float[np.ndarray, " n"],
) -> Difference:
    """Return the difference of two AUROCs of the same participants, by DeLong.

    >>> is_positive = np.array([False, False, True, True])
    >>> first, second = np.array([0.1, 0.3, 0.2, 0.9]), np.array([0.1, 0.2, 0.3, 0.9])
    >>> delong_difference(is_positive, first, second).value
    -0.25
    """
    covariance = delong_variance(is_positive, np.stack([first, second]))
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    value = auroc(is_positive, first) - auroc(is_positive, second)
    if variance <= np.finfo(float).eps:  # both order everybody alike
        raise UndefinedScoreError("the two models order the participants alike")
    error = float(np.sqrt(variance))
    half = float(special.ndtri((1 + LEVEL) / 2)) * error
    return Difference(
        value,
        Interval(value - half, value + half, "DeLong, paired"),
        float(2 * special.ndtr(-abs(value) / error)),
    )


def mcnemar(
    first_right: Bool[np.ndarray, " n"], second_right: Bool[np.ndarray, " n"]
) -> Discordance:
    """Return McNemar's exact test of who gets more participants right; two-sided.

    >>> mcnemar(np.array([True] * 6), np.array([True] + [False] * 5))
    Discordance(only_first=5, only_second=0, p_value=0.0625)
    """
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    discordant = only_first + only_second
    if not discordant:  # nobody speaks for either
        return Discordance(0, 0, 1.0)
    p_value = stats.binomtest(only_first, discordant).pvalue
    return Discordance(only_first, only_second, float(p_value))


def holm(p_values: Sequence[float]) -> Float[np.ndarray, " m"]:
    """Return p-values corrected for having been looked at together.

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    order = np.argsort(p_values, kind="stable")
    left = np.arange(len(p_values), 0, -1)
    raised = np.maximum.accumulate(np.asarray(p_values, float)[order] * left)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(raised, 1)
    return corrected


def paired_interval(
    measure: Measure, first: Rows, second: Rows, *, seed: int
) -> Interval:
    """Return the interval of (first - second), both on the same drawn participants.

    The rows of both are those of the same participants in the same order.

    Raises:
        UndefinedScoreError: if every resample gives the same difference.
    """
    ours, theirs = measure.kernel(first), measure.kernel(second)

    def kernel(weights: Float[np.ndarray, "b n"]) -> Float[np.ndarray, " b"]:
        return ours(weights) - theirs(weights)

    drawn = intervals.bootstrap(kernel, measure.people(first), seed=seed)
    found = intervals.percentile(drawn)
    return Interval(found.low, found.high, f"paired {measure.drawing(first, found)}")
