"""AUROC over cross-validation folds, where each fold's scores have their own scale.

Every fold has its own model, so a score of one fold cannot be ranked against a score of
another: only pairs within a fold are compared, folds weighted by their pairs. The
pooled value, which compares across, stands beside it for readers who expect it.
Intervals resample participants within folds: they are conditional on the trained
models, and say nothing of what another training would give.

Shapes: n rows, b weightings.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Shaped

from vit_dementia.evaluation import weighted
from vit_dementia.evaluation.metrics import UndefinedScoreError

CONDITIONAL = "conditional on the trained models"


def auroc_within_folds(
    is_positive: Bool[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    fold: Shaped[np.ndarray, " n"],
) -> float:
    """Chance that a positive scores above a negative of the same fold, ties one half.

    In [0, 1]; higher is better, 0.5 is chance. Each fold counts by its pairs.

    >>> positive, fold = np.array([False, True] * 2), np.array([0, 0, 1, 1])
    >>> auroc_within_folds(positive, np.array([0.1, 0.2, 0.8, 0.9]), fold)
    1.0
    """
    ones = np.ones((1, len(score)))
    value = weighted_auroc_within_folds(is_positive, score, fold, ones)[0]
    if np.isnan(value):
        raise UndefinedScoreError("no fold holds both positives and negatives")
    return float(value)


def weighted_auroc_within_folds(
    is_positive: Bool[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    fold: Shaped[np.ndarray, " n"],
    weights: Float[np.ndarray, "b n"],
) -> Float[np.ndarray, " b"]:
    """Return the same under many row weights at once; NaN where no pair is left."""
    wins, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for name in np.unique(fold):
        rows = fold == name
        won, of = weighted.pairs_won(is_positive[rows], score[rows], weights[:, rows])
        wins, pairs = wins + won, pairs + of
    return weighted.ratio(wins, pairs)
