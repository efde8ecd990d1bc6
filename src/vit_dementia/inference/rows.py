"""The predictions table of some rows of a cohort.

Shapes: ``m`` rows, ``s`` scans that they show, ``k`` classes.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from vit_dementia.data.cohort import Cohort
from vit_dementia.evaluation.predictions import Predictions


def predictions_of_rows(
    cohort: Cohort,
    rows: Int[np.ndarray, " m"],
    probabilities: Float[np.ndarray, "m k"],
    *,
    abstained: Bool[np.ndarray, " m"] | None = None,
    by_scan: bool = True,
) -> Predictions:
    """Return the table: who, which scan, which label, and what was said of it.

    Args:
        cohort: a row for each scan, or for each slice of a volume.
        rows: those that were answered.
        probabilities: of each.
        abstained: whether an answer is none.
        by_scan: whether slices of one volume are pooled by their mean probability.
    """
    if by_scan:
        paths = cohort.table["path"].iloc[rows].to_numpy()
        first, scan = _scans(paths)
        if len(first) < len(rows):
            total = np.zeros((len(first), probabilities.shape[1]))
            np.add.at(total, scan, probabilities)
            probabilities = total / np.bincount(scan)[:, None]
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
    )


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
