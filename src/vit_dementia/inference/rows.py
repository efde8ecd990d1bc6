"""The predictions table of some rows of a cohort.

Shapes: ``m`` rows, ``s`` scans that they show, ``k`` classes.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from vit_dementia.data.cohort import Cohort
from vit_dementia.evaluation.predictions import UNKNOWN, Predictions
from vit_dementia.evaluation.slice_weights import slice_weights, weighted_means


def predictions_of_rows(
    cohort: Cohort,
    rows: Int[np.ndarray, " m"],
    probabilities: Float[np.ndarray, "m k"],
    *,
    scores: Float[np.ndarray, " m"] | None = None,
    abstained: Bool[np.ndarray, " m"] | None = None,
    by_scan: bool = True,
) -> Predictions:
    """Return the table: who, which scan, which label, and what was said of it.

    Args:
        cohort: a row for each scan, or for each slice of a volume.
        rows: those that were answered.
        probabilities: of each.
        scores: how much each asks to count in its visit; None: all count the same.
        abstained: whether an answer is none.
        by_scan: whether slices of one volume are pooled by their mean probability.
    """
    weights = None
    if scores is not None:
        asked = cohort.table.iloc[rows]
        visits = visits_of(asked["participant_id"], asked["session_id"], asked["path"])
        weights = slice_weights(scores, visits)
    if by_scan:
        paths = cohort.table["path"].iloc[rows].to_numpy()
        first, scan = _scans(paths)
        if len(first) < len(rows):
            if weights is None:
                total = np.zeros((len(first), probabilities.shape[1]))
                np.add.at(total, scan, probabilities)
                probabilities = total / np.bincount(scan)[:, None]
            else:
                probabilities = weighted_means(probabilities, weights, scan)
                weights = np.bincount(scan, weights)
            if abstained is not None:
                abstained = np.bincount(scan, weights=abstained) > 0
            rows = rows[first]
    table = cohort.table.iloc[rows]
    return Predictions.from_arrays(
        cohort.classes,
        participant_ids=table["participant_id"].tolist(),
        session_ids=table["session_id"].tolist(),
        paths=table["path"].tolist(),
        labels=table["label"].tolist(),
        probabilities=probabilities,
        abstained=None if abstained is None else abstained.tolist(),
        weights=weights,
    )


def visits_of(
    participant_ids: Iterable[str], session_ids: Iterable[str], paths: Iterable[str]
) -> Int[np.ndarray, " n"]:
    """Number the visits: slices of one session of one person are of one visit.

    Where nobody knows who is on a scan, each scan is a visit of its own.

    >>> visits_of(["a", "a", "n/a", "n/a"], ["1", "1", "n/a", "n/a"], "wxyz").tolist()
    [0, 0, 1, 2]
    """
    number_of: dict[tuple[str, ...], int] = {}
    keys = (
        (path,) if who == UNKNOWN else (who, session)
        for who, session, path in zip(participant_ids, session_ids, paths, strict=True)
    )
    return np.array([number_of.setdefault(key, len(number_of)) for key in keys], int)


def _scans(
    paths: Shaped[np.ndarray, " m"],
) -> tuple[Int[np.ndarray, " s"], Int[np.ndarray, " m"]]:
    """Return the first row of each scan, in order, and the scan of each row.

    >>> first, scan = _scans(np.array(["b", "b", "a"], dtype=object))
    >>> first.tolist(), scan.tolist()
    ([0, 2], [0, 0, 1])
    """
    _, first, scan = np.unique(
        paths.astype(str), return_index=True, return_inverse=True
    )
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[scan]
