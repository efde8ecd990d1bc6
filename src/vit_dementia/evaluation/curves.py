"""The curves of a report and the bands around them: ROC, precision, benefit, risk.

Bands are pointwise 95 % intervals from drawing participants.

Shapes: n rows, g points on a grid, b resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from vit_dementia.evaluation import intervals, weighted
from vit_dementia.evaluation.intervals import LEVEL, People
from vit_dementia.evaluation.measures import MEASURES
from vit_dementia.evaluation.rows import Rows

GRID_POINTS = 201
BAND_REPLICATES = 500  # a band is looked at, not read to two digits


@dataclass(frozen=True)
class Curve:
    """A curve and the band around it, point by point."""

    x: Float[np.ndarray, " g"]
    y: Float[np.ndarray, " g"]
    low: Float[np.ndarray, " g"]
    high: Float[np.ndarray, " g"]


def roc(rows: Rows, *, seed: int = 0) -> Curve:
    """Return the share of positives found against the share of negatives flagged.

    Over folds it is the mean of the folds' curves weighted by their pairs, so that the
    area under it is the AUROC that compares within folds. The band is the pointwise
    interval from drawing participants within classes (and folds).
    """
    grid = np.linspace(0, 1, GRID_POINTS)
    weights = _weights(rows, MEASURES["auroc"].people(rows), seed)
    curves, pairs = np.zeros((len(weights), len(grid))), np.zeros((len(weights), 1))
    for mine in rows.by_fold():
        found, of = _roc_on(
            grid, rows.is_positive[mine], rows.score[mine], weights[:, mine]
        )
        curves, pairs = curves + found * of[:, None], pairs + of[:, None]
    return _banded(grid, weighted.ratio(curves, pairs))


def precision_recall(rows: Rows, *, seed: int = 0) -> Curve:
    """Return precision at the highest threshold that finds each share of positives.

    Precision depends on prevalence, so participants are drawn from everybody; the
    scores of all folds are ranked together.
    """
    grid = np.linspace(0, 1, GRID_POINTS)[1:]  # finding nobody has no precision
    weights = _weights(rows, rows.people(None), seed)
    positive, negative = weighted.by_rising_score(rows.is_positive, rows.score, weights)
    found = np.cumsum(positive[:, ::-1], axis=1)
    flagged = found + np.cumsum(negative[:, ::-1], axis=1)
    curves = np.full((len(weights), len(grid)), np.nan)
    for row in np.flatnonzero(found[:, -1]):
        first = np.searchsorted(found[row], grid * found[row, -1] - 1e-9)
        curves[row] = found[row, first] / flagged[row, first]
    return _banded(grid, curves)


def decision(
    rows: Rows, thresholds: Float[np.ndarray, " g"], *, seed: int = 0
) -> Curve:
    """Return the net benefit of acting above each threshold; see ``operating``."""
    weights = _weights(rows, rows.people(None), seed)
    flagged = rows.score > thresholds[:, None]
    total = weights.sum(axis=1, keepdims=True)
    hits = weights @ (flagged & rows.is_positive).T / total
    alarms = weights @ (flagged & ~rows.is_positive).T / total
    return _banded(thresholds, hits - alarms * thresholds / (1 - thresholds))


def risk(rows: Rows, *, seed: int = 0) -> Curve:
    """Return the share wrong among the most confident, against the share answered."""
    grid = np.linspace(0.1, 1, 46)  # of fewer, a risk is a matter of one or two
    confidence, wrong = rows.probability.max(axis=1), rows.label != rows.predicted
    weights = _weights(rows, rows.people(None), seed)
    errors, right = weighted.by_rising_score(wrong, confidence, weights)
    errors = np.cumsum(errors[:, ::-1], axis=1)
    answered = errors + np.cumsum(right[:, ::-1], axis=1)
    curves = np.zeros((len(weights), len(grid)))
    for row, total in enumerate(answered[:, -1]):
        first = np.searchsorted(answered[row], grid * total - 1e-9)
        curves[row] = errors[row, first] / answered[row, first]
    return _banded(grid, curves)


def _weights(rows: Rows, people: People, seed: int) -> Float[np.ndarray, "b n"]:
    """Return the rows as they are, then as they were drawn."""
    rng = np.random.default_rng(seed)
    drawn = intervals.draw(people.stratum, replicates=BAND_REPLICATES, rng=rng)
    as_they_are = np.ones((1, len(rows.label)))
    return np.concatenate([as_they_are, drawn[:, people.row_of]])


def _banded(x: Float[np.ndarray, " g"], curves: Float[np.ndarray, "b g"]) -> Curve:
    """Take the first curve, and the band from the others."""
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(curves[1:], [tail, 1 - tail], axis=0)
    return Curve(x, curves[0], low, high)


def _roc_on(
    grid: Float[np.ndarray, " g"],
    is_positive: Bool[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    weights: Float[np.ndarray, "b n"],
) -> tuple[Float[np.ndarray, "b g"], Float[np.ndarray, " b"]]:
    """Return ROC curves on a grid, and the pairs behind each (0: no curve)."""
    positive, negative = weighted.by_rising_score(is_positive, score, weights)
    found = np.cumsum(positive[:, ::-1], axis=1)
    flagged = np.cumsum(negative[:, ::-1], axis=1)
    pairs = found[:, -1] * flagged[:, -1]
    curves = np.zeros((len(weights), len(grid)))
    for row in np.flatnonzero(pairs):
        x = np.concatenate([[0.0], flagged[row] / flagged[row, -1]])
        y = np.concatenate([[0.0], found[row] / found[row, -1]])
        curves[row] = np.interp(grid, x, y)
    return curves, pairs
