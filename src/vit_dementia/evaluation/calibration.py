"""Whether probabilities mean what they say, and one number that mends them.

Temperature (Guo et al. 2017, arXiv 1706.04599) is fitted on validation participants
only. Slope and intercept as in Cox (1958): 1 and 0 are best; a slope below 1 says that
probabilities are too extreme. Debiased calibration error: Kumar et al. 2019, arXiv
1909.10155, Sec. 5.

Shapes: n participants, k classes, b weightings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import optimize, special

from vit_dementia.evaluation.intervals import Interval, wilson
from vit_dementia.evaluation.metrics import UndefinedScoreError

Probabilities = Float[np.ndarray, "n k"]
_TINY = 1e-12  # a probability of 0 or 1 has no logit
_SAME = 1e-9  # probabilities, or logits, that differ by less differ by rounding only
_NEWTON_STEPS = 40
_RUN_AWAY = 25.0  # in standard deviations of the logit: the sides are separated
_MOST = 50.0  # temperatures are looked for between 1/50 and 50


@dataclass(frozen=True)
class Bin:
    """Rows of similar score: how probable they were called, how often it was so."""

    mean_score: float
    share: float
    interval: Interval
    num_rows: int


def fit_temperature(label: Int[np.ndarray, " n"], probability: Probabilities) -> float:
    """Return the temperature that makes these probabilities fit these labels best.

    Above 1: the model was too sure.

    >>> sure = np.array([[0.99, 0.01], [0.99, 0.01], [0.99, 0.01]])
    >>> fit_temperature(np.array([0, 0, 1]), sure) > 1
    True
    """
    if len(np.unique(label)) < 2:
        raise UndefinedScoreError("all participants to calibrate on are of one class")
    logits = np.log(np.clip(probability, _TINY, 1))
    own = np.arange(len(label)), label

    def loss(log_temperature: float) -> float:
        scaled = logits * np.exp(-log_temperature)
        return float((special.logsumexp(scaled, axis=1) - scaled[own]).mean())

    most = float(np.log(_MOST))
    return float(np.exp(optimize.fminbound(loss, -most, most, xtol=1e-6)))


def with_temperature(probability: Probabilities, temperature: float) -> Probabilities:
    """Return probabilities at another temperature; their order stays.

    >>> with_temperature(np.array([[0.8, 0.2]]), 2.0).round(4)
    array([[0.6667, 0.3333]])
    """
    logits = np.log(np.clip(probability, _TINY, 1))
    return np.asarray(special.softmax(logits / temperature, axis=1))


def slope_and_intercept(
    is_positive: Bool[np.ndarray, " n"], score: Float[np.ndarray, " n"]
) -> tuple[float, float]:
    """Return slope and intercept of the outcome on the logit of its probability.

    >>> score = np.repeat([0.2, 0.8], 10)
    >>> is_positive = np.arange(20) % 10 < np.repeat([2, 8], 10)
    >>> slope, intercept = slope_and_intercept(is_positive, score)
    >>> round(slope, 3), round(abs(intercept), 3)
    (1.0, 0.0)
    """
    if is_positive.all() or not is_positive.any():
        raise UndefinedScoreError("all participants are on one side")
    if np.ptp(score) < _SAME:
        raise UndefinedScoreError("everybody was told the same probability")
    line = weighted_lines(is_positive, score, np.ones((1, len(score))))[0]
    if np.isnan(line).any():
        raise UndefinedScoreError("the two sides do not overlap")
    return float(line[0]), float(line[1])


def weighted_lines(
    is_positive: Bool[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    weights: Float[np.ndarray, "b n"],
) -> Float[np.ndarray, "b 2"]:
    """Return slopes and intercepts under many row weights; NaN where there is no fit.

    Newton's method on all weightings at once; where the two sides do not overlap the
    slope runs away and no fit exists, and there is none where all were told the same.
    """
    logit = special.logit(np.clip(score, _TINY, 1 - _TINY))
    center, spread = logit.mean(), max(float(logit.std()), _SAME)
    x = np.stack([(logit - center) / spread, np.ones(len(logit))])
    products = (x[:, None] * x[None]).reshape(4, -1)
    beta = np.zeros((len(weights), 2))
    step = np.full_like(beta, np.inf)
    for _ in range(_NEWTON_STEPS):
        told = special.expit(beta @ x)
        gradient = (weights * (is_positive - told)) @ x.T
        curvature = (weights * told * (1 - told)) @ products.T
        hessian = curvature.reshape(-1, 2, 2) + _TINY * np.eye(2)  # never singular
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        beta = beta + np.clip(step, -2, 2)  # a longer leap overshoots
        if np.abs(step).max() < _TINY:
            break
    largest = np.maximum(np.abs(step) * _RUN_AWAY / 1e-6, np.abs(beta)).max(axis=1)
    sides = np.minimum(weights @ is_positive, weights @ ~is_positive)
    total, first, second = weights.sum(axis=1), weights @ x[0], weights @ x[0] ** 2
    differ = second * total - first**2 > _SAME * total**2  # told, at this weighting
    # The last step is tiny, nothing ran away, and somebody stands on each side.
    fitted = (largest < _RUN_AWAY) & (sides > 0) & differ
    slope = beta[:, 0] / spread
    line = np.stack([slope, beta[:, 1] - slope * center], axis=1)
    line[~fitted] = np.nan
    return line


def calibration_error(
    is_positive: Bool[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    *,
    num_bins: int = 10,
) -> float:
    """Return the debiased root mean squared calibration error over equal-mass bins.

    In [0, 1]; 0 is best. Of each bin's squared gap the part that chance alone gives is
    taken off, so that few participants are not taken for bad calibration.

    >>> calibration_error(np.array([False] * 4 + [True] * 4), np.full(8, 0.5))
    0.0
    """
    total = 0.0
    for mine in equal_bins(score, num_bins=num_bins):
        size = int(mine.sum())
        if size < 2:
            continue  # chance cannot be told from gap
        share = float(is_positive[mine].mean())
        gap = (share - float(score[mine].mean())) ** 2
        total += size * (gap - share * (1 - share) / (size - 1))
    return float(np.sqrt(max(total / len(score), 0)))


def reliability(
    is_positive: Bool[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    *,
    num_bins: int = 10,
) -> list[Bin]:
    """Return rows in bins of equal count, in order of score; ties stay together.

    >>> bins = reliability(np.array([False, True]), np.array([0.2, 0.9]), num_bins=2)
    >>> [(b.mean_score, b.share, b.num_rows) for b in bins]
    [(0.2, 0.0, 1), (0.9, 1.0, 1)]
    """
    bins = []
    for mine in equal_bins(score, num_bins=num_bins):
        true, total = int(is_positive[mine].sum()), int(mine.sum())
        bins.append(
            Bin(float(score[mine].mean()), true / total, wilson(true, total), total)
        )
    return bins


def equal_bins(
    score: Float[np.ndarray, " n"], *, num_bins: int
) -> list[Bool[np.ndarray, " n"]]:
    """Return which rows stand in each bin, about as many in each; ties together.

    >>> [mine.tolist() for mine in equal_bins(np.array([0.1, 0.9, 0.1]), num_bins=2)]
    [[True, False, True], [False, True, False]]
    """
    edges = np.quantile(score, np.linspace(0, 1, num_bins + 1)[1:-1])
    bin_of = np.searchsorted(np.unique(edges), score, side="left")
    return [bin_of == number for number in np.unique(bin_of)]
