"""Each score under many row weights at once: one formula for a score and its resamples.

A bootstrap resample of people is a weight for every row (how often it was drawn), so a
score of 2,000 resamples is one call. Where a score is undefined under some weights it
is NaN here; ``metrics`` turns that into a reason, ``intervals`` drops such resamples.

Shapes: b weightings (resamples), n rows, k classes. Direction, range and conventions of
each score stand in ``metrics``.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

Labels = Int[np.ndarray, " n"]
Mask = Bool[np.ndarray, " n"]
Scores = Float[np.ndarray, " n"]
Weights = Float[np.ndarray, "b n"]
Batch = Float[np.ndarray, " b"]
Confusions = Float[np.ndarray, "b k k"]
Classes = Int[np.ndarray, " c"]

_LEAST_PROBABILITY = float(np.finfo(np.float64).eps)  # as scikit-learn's log_loss


def confusions(
    label: Labels, predicted: Labels, weights: Weights, *, num_classes: int
) -> Confusions:
    """Return confusion matrices: rows true, columns predicted."""
    cell = np.eye(num_classes**2)[label * num_classes + predicted]
    return (weights @ cell).reshape(-1, num_classes, num_classes)


def accuracy(confusion: Confusions) -> Batch:
    """Return the shares of rows on the diagonal."""
    right = np.trace(confusion, axis1=1, axis2=2)
    return ratio(right, confusion.sum(axis=(1, 2)))


def balanced_accuracy(confusion: Confusions, classes: Classes) -> Batch:
    """Return the mean recall over those of ``classes`` that have rows."""
    right = np.diagonal(confusion, axis1=1, axis2=2)
    recall = ratio(right, confusion.sum(axis=2))
    return mean_of_defined(recall[:, classes])


def macro_f1(confusion: Confusions, classes: Classes) -> Batch:
    """Return the mean F1 over those of ``classes`` that have rows."""
    right = np.diagonal(confusion, axis1=1, axis2=2)
    true, told = confusion.sum(axis=2), confusion.sum(axis=1)
    f1 = np.where(true > 0, ratio(2 * right, true + told), np.nan)
    return mean_of_defined(f1[:, classes])


def matthews_correlation(confusion: Confusions) -> Batch:
    """Return Matthews' correlation; 0 if one class only is predicted."""
    total = confusion.sum(axis=(1, 2))
    right = np.trace(confusion, axis1=1, axis2=2)
    true, told = confusion.sum(axis=2), confusion.sum(axis=1)
    covariance = right * total - (true * told).sum(axis=1)
    spread_true = total**2 - (true**2).sum(axis=1)
    spread_told = total**2 - (told**2).sum(axis=1)
    value = ratio(covariance, np.sqrt(spread_true * spread_told))
    return np.where((spread_told == 0) & (spread_true > 0), 0.0, value)


def quadratic_kappa(confusion: Confusions) -> Batch:
    """Return Cohen's kappa weighted by squared distances of ordered classes."""
    k = confusion.shape[1]
    distance = (np.arange(k)[:, None] - np.arange(k)) ** 2
    total = confusion.sum(axis=(1, 2))
    true, told = confusion.sum(axis=2), confusion.sum(axis=1)
    expected = np.einsum("bi,bj,ij->b", true, told, distance)
    observed = np.einsum("bij,ij->b", confusion, distance) * total
    return 1 - ratio(observed, expected)


def stage_error(confusion: Confusions) -> Batch:
    """Return the mean distance, in classes, of ordered classes from the truth."""
    k = confusion.shape[1]
    distance = np.abs(np.arange(k)[:, None] - np.arange(k))
    off = np.einsum("bij,ij->b", confusion, distance)
    return ratio(off, confusion.sum(axis=(1, 2)))


def recall_of(chosen: Mask, flagged: Mask, weights: Weights) -> Batch:
    """Return the share of the chosen rows that are flagged."""
    return ratio(weights @ (chosen & flagged), weights @ chosen.astype(np.float64))


def mean_of(values: Scores, weights: Weights) -> Batch:
    """Return the mean of a number that every row has."""
    return ratio(weights @ values, weights.sum(axis=1))


def log_losses(label: Labels, probability: Float[np.ndarray, "n k"]) -> Scores:
    """Return every row's negative logarithm of the probability of its true class."""
    own = probability[np.arange(len(label)), label]
    return -np.log(np.clip(own, _LEAST_PROBABILITY, None))


def brier_losses(label: Labels, probability: Float[np.ndarray, "n k"]) -> Scores:
    """Return half the squared distance of every row's probabilities from the truth."""
    truth = np.eye(probability.shape[1])[label]
    return ((probability - truth) ** 2).sum(axis=1) / 2


def auroc(is_positive: Mask, score: Scores, weights: Weights) -> Batch:
    """Return the share of (positive, negative) pairs in right order, ties one half."""
    wins, pairs = pairs_won(is_positive, score, weights)
    return ratio(wins, pairs)


def pairs_won(
    is_positive: Mask, score: Scores, weights: Weights
) -> tuple[Batch, Batch]:
    """Return how many (positive, negative) pairs are in order, and of how many."""
    positive, negative = by_rising_score(is_positive, score, weights)
    below = np.cumsum(negative, axis=1) - negative
    wins = (positive * (below + negative / 2)).sum(axis=1)
    return wins, positive.sum(axis=1) * negative.sum(axis=1)


def auprc(is_positive: Mask, score: Scores, weights: Weights) -> Batch:
    """Return average precision: precision summed over the steps of recall."""
    positive, negative = by_rising_score(is_positive, score, weights)
    found = np.cumsum(positive[:, ::-1], axis=1)  # from the highest score down
    flagged = found + np.cumsum(negative[:, ::-1], axis=1)
    precision = np.divide(found, flagged, out=np.zeros_like(found), where=flagged > 0)
    return ratio((precision * positive[:, ::-1]).sum(axis=1), positive.sum(axis=1))


def macro_auroc(
    label: Labels,
    probability: Float[np.ndarray, "n k"],
    weights: Weights,
    classes: Classes,
) -> Batch:
    """Return the mean over ``classes`` of the AUROC of that class against the rest."""
    each = [auroc(label == c, probability[:, c], weights) for c in classes]
    return mean_of_defined(np.stack(each, axis=1))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide; NaN where the whole is 0.

    >>> ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    array([0.5, nan])
    """
    part, whole = np.broadcast_arrays(part, whole)
    empty = np.full(part.shape, np.nan)
    return np.divide(part, whole, out=empty, where=whole != 0)


def mean_of_defined(values: Float[np.ndarray, "b c"]) -> Batch:
    """Return the mean of each row's numbers that are not NaN; NaN if none is.

    >>> mean_of_defined(np.array([[1.0, np.nan, 2.0], [np.nan] * 3]))
    array([1.5, nan])
    """
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1))


def by_rising_score(
    is_positive: Mask, score: Scores, weights: Weights
) -> tuple[Float[np.ndarray, "b d"], Float[np.ndarray, "b d"]]:
    """Return the weights of positives and of negatives at each of d distinct scores.

    >>> by_rising_score(
    ...     np.array([True, False]), np.array([0.9, 0.2]), np.ones((1, 2))
    ... )
    (array([[0., 1.]]), array([[1., 0.]]))
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    sorted_weights, sorted_positive = weights[:, order], is_positive[order]
    positive = np.add.reduceat(sorted_weights * sorted_positive, starts, axis=1)
    negative = np.add.reduceat(sorted_weights * ~sorted_positive, starts, axis=1)
    return positive, negative
