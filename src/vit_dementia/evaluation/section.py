"""The scores of one unit: participants, visits or images.

Shapes: n rows, k classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool

from vit_dementia.evaluation import intervals
from vit_dementia.evaluation.abstention import sets_by_the_others
from vit_dementia.evaluation.calibration import calibration_error
from vit_dementia.evaluation.entries import Entry, entry, entry_of
from vit_dementia.evaluation.intervals import wilson
from vit_dementia.evaluation.lines import Line, at_lines
from vit_dementia.evaluation.measures import CALIBRATION, MEASURES, measures_of_class
from vit_dementia.evaluation.metrics import UndefinedScoreError
from vit_dementia.evaluation.permuted import permuted_labels
from vit_dementia.evaluation.rows import Rows

OTHERS = "the other participants scored, leaving one out"


def section_of(
    rows: Rows,
    *,
    known: bool,
    lines: Mapping[str, Line],
    prevalence: float | None,
    level: float,
    seed: int,
) -> dict[str, Any]:
    """Return the scores of one unit.

    Args:
        rows: of that unit.
        known: whether participants are.
        lines: thresholds that were fixed without these participants.
        prevalence: for PPV and NPV; see ``lines``.
        level: of the prediction sets.
        seed: of the resampling.
    """
    everybody = np.ones(len(rows.label), bool)
    section: dict[str, Any] = {
        "n_participants": rows.people_of(everybody) if known else None,
        "n_images": int(rows.num_scans.sum()),
        "scores": {k: entry_of(m, rows, seed=seed) for k, m in MEASURES.items()},
        "by_class": {
            name: {
                "n_participants": rows.people_by_class[index] if known else None,
                "n_images": int(rows.num_scans[rows.label == index].sum()),
            }
            | {
                key: entry_of(measure, rows, seed=seed)
                for key, measure in measures_of_class(index).items()
            }
            for index, name in enumerate(rows.classes)
        },
        "confusion_matrix": rows.confusions(everybody[None] * 1.0)[0]
        .astype(int)
        .tolist(),
    }
    section["calibration"] = {
        name: entry_of(measure, rows, seed=seed)
        for name, measure in CALIBRATION.items()
    } | {"error": _calibration_error(rows)}
    section["lines"] = at_lines(rows, lines, prevalence=prevalence, seed=seed)
    auroc = MEASURES["auroc"]
    if rows.one_row_each and known:
        section["chance"] = _chance(rows, seed)
        section["sets"] = _sets(rows, level)
    if rows.fold is not None:
        together = replace(rows, fold=None)
        section["auroc_pooled_over_folds"] = entry_of(auroc, together, seed=seed)
    elif rows.one_row_each:
        section["auroc_delong"] = entry(
            lambda: auroc.value(rows),
            lambda: intervals.delong_logit(rows.is_positive, rows.score),
        )
    return section


def _calibration_error(rows: Rows) -> Entry:
    if not len(rows.label):
        return {"value": None, "undefined": "nothing to score: no labeled rows"}
    return {
        "value": calibration_error(rows.is_positive, rows.score),
        "low": None,
        "high": None,
        "method": "no interval: drawing people again adds error of its own",
    }


def _chance(rows: Rows, seed: int) -> dict[str, Any] | None:
    """Say what AUROC permuted labels give; null where AUROC is undefined."""
    try:
        return permuted_labels(rows, seed=seed).to_dict()
    except UndefinedScoreError:
        return None


def _sets(rows: Rows, level: float) -> dict[str, Any]:
    """Say what prediction sets are worth, each calibrated on the other participants.

    Over folds the others are those whom the same model never saw.
    """
    kept = np.zeros(rows.probability.shape, bool)
    found: dict[str, Any] = {"level": level, "calibrated_on": OTHERS}
    try:
        MEASURES["accuracy"].needs(rows)  # somebody to score
        for mine in rows.by_fold():
            kept[mine] = sets_by_the_others(
                rows.label[mine], rows.probability[mine], level=level
            )
    except UndefinedScoreError as why:
        return found | {"undefined": str(why)}
    people = np.arange(len(rows.label))
    size, held = kept.sum(axis=1), kept[people, rows.label]
    columns = np.array([name in rows.positive for name in rows.classes])
    sides = kept[:, columns].any(axis=1) != kept[:, ~columns].any(axis=1)
    right = kept[:, columns].any(axis=1) == rows.is_positive
    return found | {
        "coverage": _share_of(held),
        "mean_size": float(size.mean()),
        "answered": _share_of(sides),
        "right_when_answered": _share_of(right[sides]),
    }


def _share_of(hit: Bool[np.ndarray, " m"]) -> Entry:
    """Return a share of participants with Wilson's interval."""
    if not len(hit):
        return {"value": None, "undefined": "no participant"}
    found, total = int(hit.sum()), len(hit)
    return entry(lambda: found / total, lambda: wilson(found, total))
