"""The predictions table of some rows of a cohort.

Shapes: ``m`` rows, ``k`` classes.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from vit_dementia.data.cohort import Cohort
from vit_dementia.evaluation.predictions import Predictions


def predictions_of_rows(
    cohort: Cohort,
    rows: Int[np.ndarray, " m"],
    probabilities: Float[np.ndarray, "m k"],
    *,
    abstained: Bool[np.ndarray, " m"] | None = None,
) -> Predictions:
    """Return the table: who, which scan, which label, and what was said of it."""
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
