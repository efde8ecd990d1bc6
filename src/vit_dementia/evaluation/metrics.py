"""Scores of predictions, each a pure function of arrays that can be checked by hand.

A score that the data cannot define raises ``UndefinedScoreError`` with the reason; no
function here returns NaN. Formulas live in ``weighted``, which the intervals share.

Shapes: n rows (scans or participants), k classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from vit_dementia.evaluation import weighted

Labels = Int[np.ndarray, " n"]
Mask = Bool[np.ndarray, " n"]
Scores = Float[np.ndarray, " n"]
Probabilities = Float[np.ndarray, "n k"]


class UndefinedScoreError(ValueError):
    """The data do not define this score; the message says why."""


def confusion_matrix(
    label: Labels, predicted: Labels, *, num_classes: int
) -> Int[np.ndarray, "k k"]:
    """Count rows by true class (down) and predicted class (across).

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), num_classes=2)
    array([[1, 0],
           [1, 1]])
    """
    return _confusion(label, predicted, num_classes)[0].astype(np.int64)


def accuracy(label: Labels, predicted: Labels) -> float:
    """Share of rows given their own class. In [0, 1]; higher is better.

    >>> accuracy(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]))
    0.75
    """
    _need_rows(label)
    return float(np.mean(label == predicted))


def balanced_accuracy(
    label: Labels, predicted: Labels, *, classes: Sequence[int] | None = None
) -> float:
    """Mean over classes of the share found. In [0, 1]; higher is better.

    Args:
        label: true classes.
        predicted: classes told.
        classes: those to average over; by default all that have rows.

    >>> balanced_accuracy(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]))
    0.8333333333333333
    """
    confusion, chosen = _confusion_and_classes(label, predicted, classes)
    return float(weighted.balanced_accuracy(confusion, chosen)[0])


def macro_f1(
    label: Labels, predicted: Labels, *, classes: Sequence[int] | None = None
) -> float:
    """Mean F1 over the classes that have rows. In [0, 1]; higher is better.

    >>> macro_f1(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]))
    0.7333333333333334
    """
    confusion, chosen = _confusion_and_classes(label, predicted, classes)
    return float(weighted.macro_f1(confusion, chosen)[0])


def matthews_correlation(label: Labels, predicted: Labels) -> float:
    """Correlation of true and predicted class. In [-1, 1]; higher is better.

    0 when one class only is predicted, as in scikit-learn.

    >>> matthews_correlation(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]))
    0.5773502691896258
    """
    _need_two_classes(label)
    confusion = _confusion(label, predicted, _count(label, predicted))
    return float(weighted.matthews_correlation(confusion)[0])


def quadratic_kappa(label: Labels, predicted: Labels, *, num_classes: int) -> float:
    """Agreement beyond chance on ordered classes. At most 1; higher is better.

    A mistake weighs as the square of how many classes it is off.

    >>> quadratic_kappa(np.array([0, 1, 2]), np.array([0, 1, 1]), num_classes=3)
    0.6666666666666667
    """
    _need_rows(label)
    value = weighted.quadratic_kappa(_confusion(label, predicted, num_classes))[0]
    if np.isnan(value):
        raise UndefinedScoreError("one and the same class everywhere, true and told")
    return float(value)


def stage_error(label: Labels, predicted: Labels) -> float:
    """Mean number of classes by which ordered classes are missed. 0 is best.

    >>> stage_error(np.array([0, 1, 2]), np.array([0, 2, 0]))
    1.0
    """
    _need_rows(label)
    confusion = _confusion(label, predicted, _count(label, predicted))
    return float(weighted.stage_error(confusion)[0])


def sensitivity(is_positive: Mask, flagged: Mask) -> float:
    """Share of positives that are flagged. In [0, 1]; higher is better.

    >>> sensitivity(np.array([True, True, False]), np.array([True, False, False]))
    0.5
    """
    return _share(is_positive, flagged, "no positives")


def specificity(is_positive: Mask, flagged: Mask) -> float:
    """Share of negatives that are not flagged. In [0, 1]; higher is better.

    >>> specificity(np.array([True, False, False]), np.array([True, False, True]))
    0.5
    """
    return _share(~is_positive, ~flagged, "no negatives")


def auroc(is_positive: Mask, score: Scores) -> float:
    """Chance that a positive scores above a negative, ties one half.

    In [0, 1]; higher is better, 0.5 is chance.

    >>> auroc(np.array([False, True, False, True]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    _need_both(is_positive)
    return float(weighted.auroc(is_positive, _finite(score), _ones(score))[0])


def macro_auroc(
    label: Labels, probability: Probabilities, *, classes: Sequence[int] | None = None
) -> float:
    """Mean over classes of the AUROC of that class against all others together.

    In [0, 1]; higher is better. Classes without rows are left out.

    >>> macro_auroc(np.array([0, 1, 2]), np.eye(3))
    1.0
    """
    _need_two_classes(label)
    chosen = np.unique(label) if classes is None else np.array(classes)
    for name in chosen:
        _need_both(label == name)
    return float(
        weighted.macro_auroc(label, _finite(probability), _ones(label), chosen)[0]
    )


def auprc(is_positive: Mask, score: Scores) -> float:
    """Average precision: the area under the precision-recall steps.

    In [0, 1]; higher is better; chance is the share of positives.

    >>> auprc(np.array([False, True, False, True]), np.array([0.1, 0.4, 0.5, 0.8]))
    0.8333333333333333
    """
    _need_both(is_positive)
    return float(weighted.auprc(is_positive, _finite(score), _ones(score))[0])


def log_loss(label: Labels, probability: Probabilities) -> float:
    """Mean negative logarithm of the true class's probability. 0 is best; unbounded.

    >>> round(log_loss(np.array([1]), np.array([[0.5, 0.5]])), 4)
    0.6931
    """
    _need_rows(label)
    return float(weighted.log_losses(label, _finite(probability)).mean())


def brier(label: Labels, probability: Probabilities) -> float:
    """Half the mean squared distance of the probabilities from the truth.

    In [0, 1]; 0 is best. With two classes this is the usual Brier score.

    >>> brier(np.array([1, 0]), np.array([[0.5, 0.5], [1.0, 0.0]]))
    0.125
    """
    _need_rows(label)
    return float(weighted.brier_losses(label, _finite(probability)).mean())


def _ones(rows: np.ndarray) -> np.ndarray:
    return np.ones((1, len(rows)))


def _count(label: Labels, predicted: Labels) -> int:
    return int(max(label.max(), predicted.max())) + 1


def _confusion(label: Labels, predicted: Labels, num_classes: int) -> np.ndarray:
    if len(label) and min(label.min(), predicted.min()) < 0:
        raise ValueError("rows without a label cannot be scored; leave them out")
    return weighted.confusions(label, predicted, _ones(label), num_classes=num_classes)


def _confusion_and_classes(
    label: Labels, predicted: Labels, classes: Sequence[int] | None
) -> tuple[np.ndarray, np.ndarray]:
    _need_rows(label)
    chosen = np.unique(label) if classes is None else np.array(classes)
    absent = [int(name) for name in chosen if not (label == name).any()]
    if absent or not len(chosen):
        raise UndefinedScoreError(f"no rows of class {absent or 'any'}")
    return _confusion(label, predicted, _count(label, predicted)), chosen


def _share(chosen: Mask, flagged: Mask, otherwise: str) -> float:
    if not chosen.any():
        raise UndefinedScoreError(otherwise)
    return float(flagged[chosen].mean())


def _finite(scores: np.ndarray) -> np.ndarray:
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite numbers")
    return scores


def _need_rows(label: np.ndarray) -> None:
    if not len(label):
        raise UndefinedScoreError("nothing to score: no labeled rows")


def _need_two_classes(label: Labels) -> None:
    _need_rows(label)
    if len(np.unique(label)) < 2:
        raise UndefinedScoreError("all rows are of one class")


def _need_both(is_positive: Mask) -> None:
    _need_rows(is_positive)
    if is_positive.all():
        raise UndefinedScoreError("no negatives")
    if not is_positive.any():
        raise UndefinedScoreError("no positives")
