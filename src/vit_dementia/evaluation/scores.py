"""The content of ``metrics.json``: every score, on whom, how sure, and beside what.

::

    {"format": 1, "classes": [...], "participants_known": true, "notes": [...],
     "leak": null or the sentence that says who leaked and why it was allowed,
     "endpoint": {"positive": [...], "negative": [...], "words": "B or C against A"},
     "threshold": "...", "pooling": "...",
     "prevalence": null or a share, "model_calibration": null or {...},
     "by_participant": {"n_participants", "n_images", "scores": {name: entry},
                        "lines": {name: {"threshold", "chosen_on", "sensitivity":
                                  entry, "specificity", "ppv", "npv"}},
                        "sets": {"level", "calibrated_on", "coverage": entry,
                                 "mean_size", "answered", "right_when_answered"},
                        "auroc_delong": entry, "auroc_pooled_over_folds": entry,
                        "chance": {"p_value", "low", "high", "deals", "histogram"},
                        "calibration": {"slope", "intercept", "error": entries},
                        "by_class": {class: {"n_participants", "n_images",
                                             "sensitivity": entry, "auroc": entry}},
                        "confusion_matrix": [[...], ...]},   # true down, told across
     "by_session": {the same} or null, "by_image": {the same},
     "floors": {name: {score name: entry}},
     "floors_relearned": {name: null or {"p_value", "low", "high", "deals",
                                         "histogram"}},
     "above_floor": {"auroc": {"floor": name, "difference": entry,
                               "verdict": "above the floor"}, ...},
     "early": null or {"endpoint", "n_participants", "n_images", "scores", "floors",
                       "above_floor"},
     "subgroups": {"age": {group: {"n_participants", "scores" or "too_few", "gap"}}},
     "folds": null or {"n_participants": {fold: n}, "scores": {name: {"each": {fold:
               value}, "mean", "sd", "low", "high"}}},
     "warnings": [...],  # of scores that are too good to be true
     "disclaimer": "Research use only: ..."}

An entry is that of ``entries``. ``by_session`` is null where visits are not known or
everybody came once. ``by_participant``, and the counts of participants, are
null where participants are not known; floors are then compared by image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

from vit_dementia import DISCLAIMER
from vit_dementia.errors import ConfigError
from vit_dementia.evaluation.above_floor import COMPARED, compare_with_floors
from vit_dementia.evaluation.calibrated import LEVEL
from vit_dementia.evaluation.endpoint import (
    early_sides,
    endpoint_of,
    positive_classes,
)
from vit_dementia.evaluation.entries import entry_of
from vit_dementia.evaluation.lines import FIXED, HALF, Line
from vit_dementia.evaluation.measures import MEASURES
from vit_dementia.evaluation.metrics import UndefinedScoreError
from vit_dementia.evaluation.permuted import Relearned, relearned_labels
from vit_dementia.evaluation.predictions import UNKNOWN, Predictions
from vit_dementia.evaluation.rows import THRESHOLD, Rows
from vit_dementia.evaluation.section import section_of
from vit_dementia.evaluation.spread import by_fold
from vit_dementia.evaluation.subgroups import by_group, by_stage
from vit_dementia.evaluation.too_good import too_good

FORMAT = 1
EARLY = (
    *("auroc", "auprc", "sensitivity", "specificity"),
    *("sensitivity_at_specificity_90", "accuracy", "balanced_accuracy"),
)
MEAN = "mean probability over a participant's images"
ATTENTION = (
    "mean probability over a participant's visits, of each the mean over its images by "
    "their pooling_weight"
)
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
    relearned: Mapping[str, Relearned] | None = None,
    lines: Mapping[str, Line] | None = None,
    prevalence: float | None = None,
    level: float = LEVEL,
    groups: Mapping[str, Mapping[str, str]] | None = None,
    calibration: Mapping[str, Any] | None = None,
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
        relearned: what some of the floors say after learning permuted labels.
        lines: thresholds chosen on validation participants, by name; 0.5 always is one.
        prevalence: share of people with the condition where the model would be used,
            for PPV and NPV.
        level: how often a prediction set is to hold the truth.
        groups: of each participant (or, where participants are not known, each path)
            by the name of what groups them: age, sex, site.
        calibration: what is to be said of the scaling of these probabilities.
        leak_note: the sentence to repeat when the run was allowed to leak.
        train_accuracy: on the training images, to compare with; see ``too_good``.
        seed: of the resampling.

    Raises:
        ConfigError: if ``positive`` names no class, or leaves none to tell apart, or
            a share is none.
    """
    _check_shares(prevalence=prevalence, level=level)
    sides = positive_classes(predictions.classes, positive)
    images = predictions.labeled()
    known = predictions.participants_known
    pooled = images.by_participant().labeled() if known else None
    sessions = _visits(images)

    def rows_of(told: Predictions) -> Rows:
        return Rows.of(told, positive=sides, ordered=ordered, fold_of=fold_of)

    def section(rows: Rows) -> dict[str, Any]:
        return section_of(
            rows,
            known=known,
            lines={HALF: FIXED, **(lines or {})},
            prevalence=prevalence,
            level=level,
            seed=seed,
        )

    unit = images if pooled is None else pooled
    ours = rows_of(unit)
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
        "pooling": MEAN if predictions.weights is None else ATTENTION,
        "prevalence": prevalence,
        "model_calibration": calibration,
        "by_participant": None if pooled is None else section(ours),
        "by_session": None if sessions is None else section(rows_of(sessions)),
        "by_image": section(rows_of(images)),
        "early": _early(ours, rows_of_floor, known=known, seed=seed),
        "floors": {
            name: {key: entry_of(m, rows, seed=seed) for key, m in MEASURES.items()}
            for name, rows in rows_of_floor.items()
        },
        "floors_relearned": {
            name: _relearned(rows_of_floor[name], told, unit)
            for name, told in (relearned or {}).items()
        },
        "above_floor": compare_with_floors(ours, rows_of_floor, seed=seed),
        "subgroups": _subgroups(ours, unit, groups or {}, seed=seed),
        "folds": by_fold(ours),
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


def _names(unit: Predictions) -> list[str]:
    """Return the participants that rows were pooled by, or the paths of images."""
    pooled = "num_scans" in unit.table
    return unit.table["participant_id" if pooled else "path"].tolist()


def _relearned(
    floor: Rows, told: Relearned, unit: Predictions
) -> dict[str, Any] | None:
    """Say what AUROC permuted labels teach a floor; null where AUROC is undefined."""
    try:
        return relearned_labels(floor, told.of(_names(unit))).to_dict()
    except UndefinedScoreError:
        return None


def _early(
    rows: Rows, floors: Mapping[str, Rows], *, known: bool, seed: int
) -> dict[str, Any] | None:
    """Return the scores of the mildest positive class against the negative ones."""
    sides = early_sides(rows.classes, rows.positive) if rows.ordered else None
    if sides is None:
        return None
    mine = rows.among(sides)
    of_floor = {name: floor.among(sides) for name, floor in floors.items()}
    everybody = np.ones(len(mine.label), bool)
    return {
        "endpoint": endpoint_of(mine.classes, mine.positive),
        "n_participants": mine.people_of(everybody) if known else None,
        "n_images": int(mine.num_scans.sum()),
        "scores": {key: entry_of(MEASURES[key], mine, seed=seed) for key in EARLY},
        "floors": {
            name: {key: entry_of(MEASURES[key], floor, seed=seed) for key in COMPARED}
            for name, floor in of_floor.items()
        },
        "above_floor": compare_with_floors(mine, of_floor, seed=seed),
    }


def _subgroups(
    rows: Rows,
    unit: Predictions,
    groups: Mapping[str, Mapping[str, str]],
    *,
    seed: int,
) -> dict[str, Any]:
    """Return the scores of each group, for all that people can be grouped by."""
    ids = _names(unit)
    found: dict[str, Any] = {}
    for name, group_of in groups.items():
        group: Shaped[np.ndarray, " n"] = np.array(
            [group_of.get(who, UNKNOWN) for who in ids], dtype=str
        )
        if len(set(group.tolist()) - {UNKNOWN}) > 1:
            found[name] = by_group(rows, group, seed=seed)
    return found | {"stage": by_stage(rows, seed=seed)}


def _check_shares(**shares: float | None) -> None:
    faults = [
        f"{name}: found {share}; a number between 0 and 1 is needed"
        for name, share in shares.items()
        if share is not None and not 0 < share < 1
    ]
    if faults:
        raise ConfigError.of(faults)


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
