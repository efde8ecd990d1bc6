"""The right to say "not sure": prediction sets that hold the truth as often as asked.

Conformal sets by participant (Vovk et al. 2005; score of Sadinle et al. 2019: one less
the probability of the class). Calibration participants must have trained nothing,
stopped no training and fitted no temperature. Across folds CV+ (Romano et al. 2020,
arXiv 2006.02544, Sec. 3) lets everybody train and calibrate: missing the truth one time
in ten is asked, two in ten at most is promised, and close to one in ten is what comes.

Shapes: n calibration participants, m to predict, k classes, f folds.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, Int

from vit_dementia.evaluation.metrics import UndefinedScoreError


def fewest_for(level: float) -> int:
    """Return how many calibration participants a level needs at least.

    >>> fewest_for(0.9), fewest_for(0.95)
    (9, 19)
    """
    return math.ceil(round(level / (1 - level), 9))


def strangeness(
    label: Int[np.ndarray, " n"], probability: Float[np.ndarray, "n k"]
) -> Float[np.ndarray, " n"]:
    """Return one less the probability that was told for the true class.

    >>> strangeness(np.array([0]), np.array([[0.75, 0.25]]))
    array([0.25])
    """
    return 1 - probability[np.arange(len(label)), label]


def conformal_threshold(strange: Float[np.ndarray, " n"], *, level: float) -> float:
    """Return the strangeness up to which a class belongs in the set.

    Raises:
        UndefinedScoreError: if there are too few participants for this level.

    >>> conformal_threshold(np.arange(9) / 10, level=0.9)
    0.8
    """
    _need(len(strange), level)
    rank = _ceil((len(strange) + 1) * level)
    return float(np.sort(strange)[rank - 1])


def prediction_sets(
    probability: Float[np.ndarray, "m k"], threshold: float
) -> Bool[np.ndarray, "m k"]:
    """Return which classes cannot be ruled out; sure where exactly one is left.

    >>> prediction_sets(np.array([[0.6, 0.4], [0.9, 0.1]]), 0.7)
    array([[ True,  True],
           [ True, False]])
    """
    return 1 - probability <= threshold


def cross_conformal_sets(
    strange: Float[np.ndarray, " n"],
    fold: Int[np.ndarray, " n"],
    probability: Float[np.ndarray, "f m k"],
    *,
    level: float,
) -> Bool[np.ndarray, "m k"]:
    """Return sets from models of all folds, each asked against its own left-out part.

    Args:
        strange: out-of-fold, of everybody.
        fold: whose model (position in ``probability``) never saw each of them.
        probability: what each fold's model says of the participants to predict.
        level: how often the truth should be in the set.

    Raises:
        UndefinedScoreError: if there are too few participants for this level.
    """
    _need(len(strange), level)
    stranger = np.zeros(probability.shape[1:], int)
    for number, told in enumerate(probability):
        mine = np.sort(strange[fold == number])
        # A class is kept while few enough calibration participants are less strange.
        stranger += np.searchsorted(mine, 1 - told, side="left")
    return stranger < _ceil((len(strange) + 1) * level)


def sets_by_the_others(
    label: Int[np.ndarray, " n"], probability: Float[np.ndarray, "n k"], *, level: float
) -> Bool[np.ndarray, "n k"]:
    """Return everybody's set, calibrated on all others: how a report can test sets.

    The promise holds for each of them as for somebody new.

    Raises:
        UndefinedScoreError: if there are too few participants for this level.
    """
    others = len(label) - 1
    _need(others, level)
    strange, rank = strangeness(label, probability), _ceil((others + 1) * level)
    ordered = np.sort(strange)
    # Among the others the rank of whoever is stranger than I is one less.
    mine = strange <= ordered[rank - 1]
    threshold = np.where(mine, ordered[rank], ordered[rank - 1])
    return 1 - probability <= threshold[:, None]


def coverage(sets: Bool[np.ndarray, "m k"], label: Int[np.ndarray, " m"]) -> float:
    """Share of participants whose true class is in their set. In [0, 1].

    >>> coverage(np.array([[True, False], [True, False]]), np.array([0, 1]))
    0.5
    """
    if not len(label):
        raise UndefinedScoreError("nothing to score: no labeled rows")
    return float(sets[np.arange(len(label)), label].mean())


def risk_coverage(
    right: Bool[np.ndarray, " n"], confidence: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return shares answered, most confident first, and the shares wrong among them.

    Participants of equal confidence are answered together: their mean risk is shared.

    >>> answered, wrong = risk_coverage(np.array([True, False]), np.array([0.9, 0.6]))
    >>> answered, wrong
    (array([0.5, 1. ]), array([0. , 0.5]))
    """
    order = np.argsort(-confidence, kind="stable")
    _, group, size = np.unique(
        -confidence[order], return_inverse=True, return_counts=True
    )
    error = np.bincount(group, ~right[order]) / size  # of each confidence
    count = np.arange(1, len(right) + 1)
    return count / len(right), np.cumsum(error[group]) / count


def _need(people: int, level: float) -> None:
    if not 0 < level < 1:
        raise ValueError("a level lies between 0 and 1")
    if people < fewest_for(level):
        raise UndefinedScoreError(
            f"cannot calibrate at this level: {level:.0%} needs {fewest_for(level)} "
            f"participants, found {people}"
        )


def _ceil(value: float) -> int:
    return math.ceil(round(value, 9))  # 10 * 0.9 is 9, not 9.000000000000002
