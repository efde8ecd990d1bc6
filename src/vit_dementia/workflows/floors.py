"""The floors of one scored part, computed from the same slices the network saw.

Shapes: ``n`` slices, ``t`` of them trained on and ``m`` scored, ``c`` channels, ``h w``
pixels, ``k`` classes.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from jaxtyping import Float, Int, UInt8

from vit_dementia.data.cohort import Cohort
from vit_dementia.evaluation import floors
from vit_dementia.evaluation.metrics import UndefinedScoreError
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.inference.rows import predictions_of_rows

Images = UInt8[np.ndarray, "n c h w"]


def floor_predictions(
    cohort: Cohort,
    images: Images,
    *,
    train: Int[np.ndarray, " t"],
    scored: Int[np.ndarray, " m"],
) -> dict[str, Predictions]:
    """Return what needs no network says of the scored rows, by name of the floor.

    A floor that cannot be computed (one class to learn from) is left out.
    """
    labels, k = cohort.labels(), len(cohort.classes)
    gray = images.mean(axis=1, dtype=np.float32)
    told = {
        "majority class": floors.majority(labels[train], len(scored), num_classes=k),
        "nearest neighbor": floors.nearest_neighbor(
            gray[train], labels[train], gray[scored], num_classes=k
        ),
    }
    with suppress(UndefinedScoreError):
        told["linear model on pixels"] = _linear(cohort, gray, train, scored)
    return {
        name: predictions_of_rows(cohort, scored, probabilities)
        for name, probabilities in told.items()
    }


def _linear(
    cohort: Cohort,
    gray: Float[np.ndarray, "n h w"],
    train: Int[np.ndarray, " t"],
    scored: Int[np.ndarray, " m"],
) -> Float[np.ndarray, "m k"]:
    """Give each scored row the answer for its participant, or for itself."""
    unit = "participant" if cohort.participants_known else "image"
    units = np.array(cohort.unit_ids(unit))
    labels = cohort.labels()
    known, features = floors.mean_and_spread(gray[train], units[train].tolist())
    label_of = dict(zip(units[train], labels[train], strict=True))
    asked, asked_features = floors.mean_and_spread(gray[scored], units[scored].tolist())
    answer = floors.linear(
        features,
        np.array([label_of[name] for name in known]),
        asked_features,
        num_classes=len(cohort.classes),
    )
    place = {name: row for row, name in enumerate(asked)}
    return answer[[place[name] for name in units[scored]]]
