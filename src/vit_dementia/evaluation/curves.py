"""The ROC curve of a report and the band around it.

Shapes: n rows, g points on a grid, b resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from vit_dementia.evaluation import intervals, weighted
from vit_dementia.evaluation.intervals import LEVEL
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
    people = MEASURES["auroc"].people(rows)
    rng = np.random.default_rng(seed)
    drawn = intervals.draw(people.stratum, replicates=BAND_REPLICATES, rng=rng)
    weights = np.concatenate([np.ones((1, len(rows.label))), drawn[:, people.row_of]])
    curves, pairs = np.zeros((len(weights), len(grid))), np.zeros((len(weights), 1))
    for mine in rows.by_fold():
        found, of = _roc_on(
            grid, rows.is_positive[mine], rows.score[mine], weights[:, mine]
        )
        curves, pairs = curves + found * of[:, None], pairs + of[:, None]
    curves = weighted.ratio(curves, pairs)
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(curves[1:], [tail, 1 - tail], axis=0)
    return Curve(grid, curves[0], low, high)


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
