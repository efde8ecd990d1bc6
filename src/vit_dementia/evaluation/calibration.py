"""Whether probabilities mean what they say, and one number that mends them.

Temperature (Guo et al. 2017, arXiv 1706.04599) is fitted on validation participants
only. Slope and intercept as in Cox (1958): 1 and 0 are best; a slope below 1 says that
probabilities are too extreme. Debiased calibration error: Kumar et al. 2019, arXiv
1909.10155, Sec. 5.

Shapes: n participants, k classes.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import optimize, special

from vit_dementia.evaluation.curves import equal_bins
from vit_dementia.evaluation.metrics import UndefinedScoreError

Probabilities = Float[np.ndarray, "n k"]
_TINY = 1e-12  # a probability of 0 or 1 has no logit
_MOST = 50.0  # temperatures are looked for between 1/50 and 50


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
    logit = special.logit(np.clip(score, _TINY, 1 - _TINY))
    if np.ptp(logit) == 0:
        raise UndefinedScoreError("everybody was told the same probability")
    if _separated(logit[is_positive], logit[~is_positive]):
        raise UndefinedScoreError("the two sides do not overlap")
    center, spread = logit.mean(), logit.std()
    x, y = (logit - center) / spread, is_positive.astype(float)

    def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        eta = beta[0] + beta[1] * x
        residual = special.expit(eta) - y
        value = float((np.logaddexp(0, eta) - y * eta).mean())
        return value, np.array([residual.mean(), (residual * x).mean()])

    found = optimize.minimize(
        loss, np.zeros(2), jac=True, method="BFGS", options={"gtol": 1e-8}
    )
    slope = float(found.x[1] / spread)
    return slope, float(found.x[0] - slope * center)


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


def _separated(positive: np.ndarray, negative: np.ndarray) -> bool:
    above = positive.min() >= negative.max()
    return bool(above or positive.max() <= negative.min())
