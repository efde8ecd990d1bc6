"""Several runs on the same participants: every pair compared, corrected together.

::

    {"format": 1, "endpoint": {...}, "n_participants": 150, "notes": [...],
     "runs": {name: {score name: entry}},
     "pairs": [{"first": name, "second": name,
                "auroc": {"difference": entry, "p_value", "p_corrected"},
                "accuracy": {"difference": entry, "only_first", "only_second",
                             "p_value", "p_corrected"},
                "balanced_accuracy": {"difference": entry}}],
     "disclaimer": "Research use only: ..."}

A difference is first minus second. AUROC: DeLong's test, or over folds the bootstrap
without a p-value; accuracy: McNemar's. p-values of one score are corrected by Holm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from vit_dementia import DISCLAIMER
from vit_dementia.errors import DataError
from vit_dementia.evaluation.comparisons import (
    delong_difference,
    holm,
    mcnemar,
    paired_interval,
)
from vit_dementia.evaluation.endpoint import endpoint_of, positive_classes
from vit_dementia.evaluation.entries import entry, entry_of
from vit_dementia.evaluation.measures import MEASURES
from vit_dementia.evaluation.metrics import UndefinedScoreError
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.rows import Rows

FORMAT = 1


def compare(
    runs: Mapping[str, Predictions],
    *,
    positive: Sequence[str] | None = None,
    fold_of: Mapping[str, object] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return how runs differ on the participants that all of them scored.

    Raises:
        DataError: if the runs have other classes or labels, do not know their
            participants, or share none.
    """
    pooled, notes = _shared(runs)
    classes = next(iter(pooled.values())).classes
    sides = positive_classes(classes, positive)
    rows = {
        name: Rows.of(told, positive=sides, fold_of=fold_of)
        for name, told in pooled.items()
    }
    pairs = [
        {"first": first, "second": second} | _pair(rows[first], rows[second], seed)
        for first, second in combinations(rows, 2)
    ]
    for score in ("auroc", "accuracy"):
        _correct([pair[score] for pair in pairs])
    return {
        "format": FORMAT,
        "endpoint": endpoint_of(classes, sides),
        "n_participants": len(next(iter(pooled.values())).table),
        "notes": notes,
        "runs": {
            name: {key: entry_of(m, mine, seed=seed) for key, m in MEASURES.items()}
            for name, mine in rows.items()
        },
        "pairs": pairs,
        "disclaimer": DISCLAIMER,
    }


def _shared(
    runs: Mapping[str, Predictions],
) -> tuple[dict[str, Predictions], list[str]]:
    """Return every run's predictions of the participants that all scored, in order."""
    if len(runs) < 2:
        raise DataError("compare: one run found; two or more are needed")
    first, classes = next((name, told.classes) for name, told in runs.items())
    faults = [
        f"{name}: classes {list(told.classes)}; those of {first}, {list(classes)}, are "
        "needed"
        for name, told in runs.items()
        if told.classes != classes
    ] + [
        f"{name}: participants are not known; give --participants and evaluate again"
        for name, told in runs.items()
        if not told.participants_known
    ]
    if faults:
        raise DataError.of(faults)
    pooled = {
        name: told.labeled().by_participant().labeled() for name, told in runs.items()
    }
    ids = {name: told.table.participant_id.tolist() for name, told in pooled.items()}
    common = sorted(set.intersection(*(set(mine) for mine in ids.values())))
    if not common:
        raise DataError("compare: no participant was scored by all of the runs")
    notes = [
        f"{len(mine) - len(common)} participants of {name} were not scored by every "
        "run and are left out."
        for name, mine in ids.items()
        if len(mine) > len(common)
    ]
    aligned = {}
    for name, told in pooled.items():
        place = {who: row for row, who in enumerate(ids[name])}
        aligned[name] = told.where(np.array([place[who] for who in common]))
    truth = aligned[first].labels
    differing = [name for name, told in aligned.items() if (told.labels != truth).any()]
    if differing:
        raise DataError(
            f"compare: {', '.join(differing)} and {first} give some participants "
            "different labels; the same labels are needed"
        )
    return aligned, notes


def _pair(first: Rows, second: Rows, seed: int) -> dict[str, Any]:
    right = [rows.label == rows.predicted for rows in (first, second)]
    discordance = mcnemar(*right)
    return {
        "auroc": _auroc(first, second, seed),
        "accuracy": _difference("accuracy", first, second, seed)
        | {
            "only_first": discordance.only_first,
            "only_second": discordance.only_second,
            "p_value": discordance.p_value,
        },
        "balanced_accuracy": _difference("balanced_accuracy", first, second, seed),
    }


def _auroc(first: Rows, second: Rows, seed: int) -> dict[str, Any]:
    if first.fold is not None:
        return _difference("auroc", first, second, seed) | {"p_value": None}
    try:
        found = delong_difference(first.is_positive, first.score, second.score)
    except UndefinedScoreError as why:
        return {"difference": {"value": None, "undefined": str(why)}, "p_value": None}
    difference = entry(lambda: found.value, lambda: found.interval)
    return {"difference": difference, "p_value": found.p_value}


def _difference(name: str, first: Rows, second: Rows, seed: int) -> dict[str, Any]:
    measure = MEASURES[name]
    return {
        "difference": entry(
            lambda: measure.value(first) - measure.value(second),
            lambda: paired_interval(measure, first, second, seed=seed),
        )
    }


def _correct(found: Sequence[dict[str, Any]]) -> None:
    """Add p-values corrected for all pairs of runs."""
    defined = [one for one in found if one["p_value"] is not None]
    corrected = holm([one["p_value"] for one in defined]).tolist() if defined else []
    for one in found:
        one["p_corrected"] = None
    for one, value in zip(defined, corrected, strict=True):
        one["p_corrected"] = value
