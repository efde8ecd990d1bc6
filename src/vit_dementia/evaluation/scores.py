"""The content of ``metrics.json``: every score, on whom, how sure, and beside what.

::

    {"format": 1, "classes": [...], "participants_known": true, "notes": [...],
     "leak": null or the sentence that says who leaked and why it was allowed,
     "endpoint": {"positive": [...], "negative": [...], "words": "B or C against A"},
     "threshold": "...", "pooling": "...",
     "by_participant": {"n_participants", "n_images", "scores": {name: entry},
                        "auroc_delong": entry, "auroc_pooled_over_folds": entry,
                        "chance": {"p_value", "low", "high", "deals"},
                        "calibration": {"slope", "intercept", "error": entries},
                        "by_class": {class: {"n_participants", "n_images",
                                             "sensitivity": entry, "auroc": entry}},
                        "confusion_matrix": [[...], ...]},   # true down, told across
     "by_session": {the same} or null, "by_image": {the same},
     "floors": {name: {score name: entry}},
     "above_floor": {"auroc": {"floor": name, "difference": entry,
                               "verdict": "above the floor"}, ...},
     "warnings": [...],  # of scores that are too good to be true
     "disclaimer": "Research use only: ..."}

An entry is that of ``entries``. ``by_session`` is null where visits are not known or
everybody came once. ``by_participant``, and the counts of participants, are
null where participants are not known; floors are then compared by image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vit_dementia import DISCLAIMER
from vit_dementia.evaluation import intervals
from vit_dementia.evaluation.above_floor import compare_with_floors
from vit_dementia.evaluation.calibration import calibration_error
from vit_dementia.evaluation.endpoint import endpoint_of, positive_classes
from vit_dementia.evaluation.entries import Entry, entry, entry_of
from vit_dementia.evaluation.measures import CALIBRATION, MEASURES, measures_of_class
from vit_dementia.evaluation.metrics import UndefinedScoreError
from vit_dementia.evaluation.permuted import permuted_labels
from vit_dementia.evaluation.predictions import UNKNOWN, Predictions
from vit_dementia.evaluation.rows import THRESHOLD, Rows
from vit_dementia.evaluation.too_good import too_good

FORMAT = 1
BY_IMAGE_ONLY = (
    "Scores are by image, and participants may stand on both sides: the data do not "
    "say whose an image is. Intervals take every image for another person's, so they "
    "are too narrow."
)


def score(
    predictions: Predictions,
    *,
    positive: Sequence[str] | None = None,
    ordered: bool = True,
    fold_of: Mapping[str, object] | None = None,
    floors: Mapping[str, Predictions] | None = None,
    leak_note: str | None = None,
    train_accuracy: float | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return all scores of predictions: the content of ``metrics.json``.

    Args:
        predictions: one row per image; those without a label are counted, not scored.
        positive: the classes to tell from the others; by default all but the first.
        ordered: whether the classes are in order of severity (for kappa).
        fold_of: the fold in which each participant (or, where participants are not
            known, each path) was scored; pairs are compared within a fold only.
        floors: predictions without a ViT for the same participants, by name.
        leak_note: the sentence to repeat when the run was allowed to leak.
        train_accuracy: on the training images, to compare with; see ``too_good``.
        seed: of the resampling.

    Raises:
        ConfigError: if ``positive`` names no class, or leaves none to tell apart.
    """
    sides = positive_classes(predictions.classes, positive)
    images = predictions.labeled()
    known = predictions.participants_known
    pooled = images.by_participant().labeled() if known else None
    sessions = _visits(images)

    def rows_of(told: Predictions) -> Rows:
        return Rows.of(told, positive=sides, ordered=ordered, fold_of=fold_of)

    unit = images if pooled is None else pooled
    rows_of_floor = {
        name: rows_of(_aligned(name, floor, unit))
        for name, floor in (floors or {}).items()
    }
    metrics = {
        "format": FORMAT,
        "classes": list(predictions.classes),
        "participants_known": known,
        "leak": leak_note,
        "notes": _notes(predictions, images, pooled, leak_note),
        "endpoint": endpoint_of(predictions.classes, sides),
        "threshold": f"positive when the probability is above {THRESHOLD}",
        "pooling": "mean probability over a participant's images",
        "by_participant": None
        if pooled is None
        else _section(rows_of(pooled), known=known, seed=seed),
        "by_session": _section(rows_of(sessions), known=known, seed=seed)
        if sessions is not None
        else None,
        "by_image": _section(rows_of(images), known=known, seed=seed),
        "floors": {
            name: {key: entry_of(m, rows, seed=seed) for key, m in MEASURES.items()}
            for name, rows in rows_of_floor.items()
        },
        "above_floor": compare_with_floors(rows_of(unit), rows_of_floor, seed=seed),
        "disclaimer": DISCLAIMER,
    }
    return metrics | {"warnings": too_good(metrics, train_accuracy=train_accuracy)}


def _visits(images: Predictions) -> Predictions | None:
    """Pool by visit, where visits are known and somebody came more than once."""
    if not images.sessions_known:
        return None
    visits = images.by_session().labeled()
    came_again = bool(visits.table.participant_id.duplicated().any())
    return visits if came_again else None


def _aligned(name: str, floor: Predictions, unit: Predictions) -> Predictions:
    """Return a floor's rows for exactly the participants (or images) of a model."""
    if floor.classes != unit.classes:
        raise ValueError(f"floor {name}: classes {floor.classes}, not {unit.classes}")
    pooled = "num_scans" in unit.table
    told = floor.by_participant() if pooled else floor
    key = "participant_id" if pooled else "path"
    position = {who: row for row, who in enumerate(told.table[key])}
    missing = [who for who in unit.table[key] if who not in position]
    if missing:
        raise ValueError(f"floor {name}: says nothing of {missing[:5]}")
    chosen = told.where(np.array([position[who] for who in unit.table[key]], int))
    chosen.table["label"] = unit.table.label.to_numpy()  # the truth has one home
    return chosen


def _section(rows: Rows, *, known: bool, seed: int) -> dict[str, Any]:
    """Return the scores of one unit, participants or images."""
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
    auroc = MEASURES["auroc"]
    if rows.one_row_each and known:
        section["chance"] = _chance(rows, seed)
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
        null = permuted_labels(rows, seed=seed)
    except UndefinedScoreError:
        return None
    low, high = np.quantile(null.aurocs, [0.025, 0.975])
    return {
        "p_value": null.p_value,
        "low": float(low),
        "high": float(high),
        "deals": len(null.aurocs),
    }


def _notes(
    predictions: Predictions,
    images: Predictions,
    pooled: Predictions | None,
    leak_note: str | None,
) -> list[str]:
    notes = [] if leak_note is None else [leak_note]
    if pooled is None:
        notes.append(BY_IMAGE_ONLY)
    unlabeled = len(predictions.table) - len(images.table)
    if unlabeled:
        notes.append(
            f"{unlabeled} images have no label ({UNKNOWN}) and are not scored."
        )
    people = images.table.participant_id.nunique()
    if pooled is not None and len(pooled.table) < people:
        notes.append(
            f"{people - len(pooled.table)} participants carry different labels on "
            "different images and are scored by image only."
        )
    return notes
