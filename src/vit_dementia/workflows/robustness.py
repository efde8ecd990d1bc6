"""The same scans made worse in many ways: how far scores fall, and to which floor.

The model and its thresholds stay as they are. The floor is that of the scans as they
were, the line below which nothing needs a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vit_dementia.evaluation.above_floor import COMPARED
from vit_dementia.evaluation.endpoint import positive_classes
from vit_dementia.evaluation.entries import entry_of
from vit_dementia.evaluation.measures import MEASURES
from vit_dementia.evaluation.metrics import UndefinedScoreError
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.rows import Rows
from vit_dementia.files import replacing
from vit_dementia.inference.rows import predictions_of_rows
from vit_dementia.preparation.degradations import DEGRADATIONS, MOST_SEVERE
from vit_dementia.workflows.floors import ERASED, Part, at_once_of
from vit_dementia.workflows.scoring import Reading

TABLE = "robustness.tsv"


def robustness_of(
    reading: Reading,
    asked: Part,
    floors: Mapping[str, Predictions],
    *,
    positive: Sequence[str] | None,
    seed: int,
) -> list[dict[str, Any]]:
    """Return scores for every degradation and severity; the first is for none.

    Args:
        reading: the run.
        asked: the scans that were scored.
        floors: what they were scored beside.
        positive: as for ``score``.
        seed: of noise and of the resampling.
    """
    sides = positive_classes(reading.model.classes, positive)
    images = np.asarray(asked.images)[asked.rows]
    known, at_once = asked.cohort.participants_known, at_once_of(images)

    def scores(told: Predictions) -> dict[str, Any]:
        rows = _rows(told, sides, known)
        return {name: entry_of(MEASURES[name], rows, seed=seed) for name in COMPARED}

    def line(name: str, severity: int, amount: float | None) -> dict[str, Any]:
        worse = images
        if severity:
            rule = DEGRADATIONS[name]
            worse = np.concatenate(
                [
                    rule(images[start : start + at_once], severity, seed=seed + start)
                    for start in range(0, len(images), at_once)
                ]
            )
        answer, weigh = reading.answer(worse, what=f"{name} {severity}")
        told = predictions_of_rows(asked.cohort, asked.rows, answer, scores=weigh)
        return {
            "degradation": name,
            "severity": severity,
            "amount": amount,
            "scores": scores(told),
            "floor": floor,
        }

    best = {name: _best(floors, name, sides, known) for name in COMPARED}
    floor = {name: found for name, found in best.items() if found is not None}
    return [
        line("none", 0, None),
        *(
            line(name, severity, DEGRADATIONS[name].amounts[severity - 1])
            for name in DEGRADATIONS
            for severity in range(1, MOST_SEVERE + 1)
        ),
    ]


def write_robustness(folder: Path, found: Sequence[Mapping[str, Any]]) -> None:
    """Write ``robustness.tsv``: one line for each degradation, severity and score."""
    lines = [
        {
            "degradation": one["degradation"],
            "severity": one["severity"],
            "amount": one["amount"],
            "score": name,
            "value": entry["value"],
            "low": entry.get("low"),
            "high": entry.get("high"),
            "floor": one["floor"].get(name, {}).get("floor"),
            "floor_value": one["floor"].get(name, {}).get("value"),
        }
        for one in found
        for name, entry in one["scores"].items()
    ]
    with replacing(folder / TABLE) as aside:
        pd.DataFrame(lines).to_csv(
            aside, sep="\t", index=False, lineterminator="\n", na_rep="n/a"
        )


def _rows(told: Predictions, sides: tuple[str, ...], known: bool) -> Rows:
    labeled = told.labeled()
    if known:
        labeled = labeled.by_participant().labeled()
    return Rows.of(labeled, positive=sides)


def _best(
    floors: Mapping[str, Predictions], name: str, sides: tuple[str, ...], known: bool
) -> dict[str, Any] | None:
    """Return the floor with the highest score; the erased model is none of them."""
    values = {}
    for floor, told in floors.items():
        if floor == ERASED:
            continue
        try:
            values[floor] = MEASURES[name].value(_rows(told, sides, known))
        except UndefinedScoreError:
            continue
    if not values:
        return None
    best = max(values, key=values.__getitem__)
    return {"floor": best, "value": values[best]}
