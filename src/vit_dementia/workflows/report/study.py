"""What a run folder says of a study: who came in and went where, with what it ran.

Counts, settings and hashes: no path and no participant.

Shapes: n scans.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from vit_dementia import recipes
from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import Split, roles
from vit_dementia.evaluation.predictions import UNKNOWN
from vit_dementia.files import read_json, sha256_of
from vit_dementia.models.weights import native
from vit_dementia.models.weights.sources import is_name
from vit_dementia.training.history import EpochRecord, read_history
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.report.options import ReportOptions
from vit_dementia.workflows.report.people import causes, people_table

OUT_OF_FOLD, EXTERNAL = "out-of-fold", "external"
PURPOSE = {"train": "trained", "val": "chose the epoch", "test": "seen by no training"}
_SCORED_BY = {
    OUT_OF_FOLD: "scored by the model that never saw them",
    EXTERNAL: "other people than the run was given",
}
Parts = Mapping[str, Bool[np.ndarray, " n"]]


def study_of(
    run: RunFolder,
    part: str,
    *,
    readable: Cohort | None = None,
    others: Cohort | None = None,
    device: str | None = None,
    options: ReportOptions | None = None,
) -> dict[str, Any]:
    """Return what is known of a run and of the part of it that was scored.

    Args:
        run: a finished run, or a cross-validation.
        part: ``train``, ``val``, ``test``, ``out-of-fold`` or ``external``.
        readable: the scans that could be read; by default all.
        others: the scans of an external test.
        device: what the scores were computed on.
        options: what a person told.
    """
    options, own = options or ReportOptions(), run.cohort()
    split, given = run.split(own), own if others is None else others
    cohort = given if readable is None else readable
    parts = _parts(cohort, split, run.config.fold, part)
    models = _models(run)
    history = _history(run)
    everybody = {"all": np.ones(len(cohort), bool)}
    labels = cohort.table["label"].to_numpy()
    return {
        "scored": part,
        "classes": list(cohort.classes),
        "flow": _flow(given, cohort, parts, part),
        "people": people_table(cohort, {**parts, **everybody}),
        "people_by_class": people_table(
            cohort,
            {name: labels == name for name in cohort.classes},
            of_classes=False,
        ),
        "identity": {
            str(source): int(number)
            for source, number in cohort.table["participant_source"]
            .value_counts()
            .items()
        },
        "audit": _audit(run, models),
        "architecture": _architecture(models),
        "training": _training(models),
        "compute": _compute(history, models, device, options.watts),
        "history": [vars(record) for record in _one_curve(history)],
        "settings": _settings(run.config),
        "environment": _flat(run.environment),
        "hashes": _hashes(run, split, models)
        | ({} if others is None else {"external cohort": others.fingerprint}),
        "data_license": options.data_license,
        "data_source": options.data_source,
    }


def _parts(cohort: Cohort, split: Split, fold: int, part: str) -> dict[str, Any]:
    """Say which rows went where: into the parts of one fold, or into which fold."""
    if part == EXTERNAL:
        return {EXTERNAL: np.ones(len(cohort), bool)}
    if part == OUT_OF_FOLD:
        return {
            f"fold {number}": roles(cohort, one) == "test"
            for number, one in enumerate(split.folds, 1)
        }
    role_of_row = roles(cohort, split.folds[fold])
    named = {name: role_of_row == name for name in PURPOSE}
    return {name: mask for name, mask in named.items() if mask.any()}


def _flow(given: Cohort, cohort: Cohort, parts: Parts, part: str) -> dict[str, Any]:
    placed = np.any(list(parts.values()), axis=0)
    new = cohort.problems[len(given.problems) :]
    before, after = _count(given), _count(cohort)
    num_problems = len(given.problems) + len(given) - len(cohort)
    reasons = causes([*given.problems, *new])
    unexplained = num_problems - sum(reasons.values())
    if unexplained > 0:
        reasons["reason not recorded"] = unexplained
    return {
        "came_in": {**before, "scans": len(given) + len(given.problems)},
        "left_out": {
            "scans": num_problems,
            "participants": _less(before["participants"], after["participants"]),
            "reasons": reasons,
        },
        "used": after,
        "aside": int((~placed).sum()),
        "parts": [
            {
                "name": name,
                "purpose": PURPOSE.get(name) or _SCORED_BY[part],
                "scored": part in (name, OUT_OF_FOLD),
                "unlabeled": int((cohort.table["label"][mask] == UNKNOWN).sum()),
                **_count(cohort, mask),
            }
            for name, mask in parts.items()
        ],
    }


def _count(cohort: Cohort, mask: np.ndarray | None = None) -> dict[str, int | None]:
    table = cohort.table if mask is None else cohort.table[mask]
    people = int(table["participant_id"].nunique())
    return {
        "participants": people if cohort.participants_known else None,
        "scans": len(table),
    }


def _less(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first - second


def _models(run: RunFolder) -> list[dict[str, Any]]:
    """Return the descriptions of the run's model, or of those of its folds."""
    folds = sorted(run.path.glob("folds/*/model"), key=lambda p: int(p.parent.name))
    folders = [run.path / "model", *folds]
    return [
        read_json(folder / native.CONFIG)
        for folder in folders
        if (folder / native.CONFIG).is_file()
    ]


def _history(run: RunFolder) -> list[list[EpochRecord]]:
    paths = [run.path, *sorted(run.path.glob("folds/*"))]
    found = [read_history(path / "history.jsonl") for path in paths]
    return [records for records in found if records]


def _one_curve(history: list[list[EpochRecord]]) -> list[EpochRecord]:
    """Return the epochs of a run; those of several folds make no single curve."""
    return history[0] if len(history) == 1 else []


def _audit(run: RunFolder, models: list[dict[str, Any]]) -> dict[str, Any]:
    said = {model.get("training", {}).get("leakage") for model in models} - {None, ""}
    return {
        "leakage": sorted(said),
        "allowed": run.config.allow_leakage or None,
        "split_by": run.split(run.cohort()).unit,
    }


def _architecture(models: list[dict[str, Any]]) -> dict[str, Any] | None:
    return dict(models[0]["architecture"]) if models else None


def _training(models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {k: v for k, v in model.get("training", {}).items() if v != ""}
        for model in models
    ]


def _compute(
    history: list[list[EpochRecord]],
    models: list[dict[str, Any]],
    device: str | None,
    watts: float | None,
) -> dict[str, Any]:
    seconds = sum(record.seconds for records in history for record in records)
    images = sum(r.images_per_second * r.seconds for one in history for r in one)
    return {
        "models": len(models),
        "epochs": sum(len(records) for records in history),
        "training_seconds": round(seconds, 1) if history else None,
        "images_per_second": round(images / seconds, 1) if seconds else None,
        "energy_kwh": seconds * watts / 3.6e6 if history and watts else None,
        "watts": watts,
        "device": device,
    }


def _settings(config: RunConfig) -> list[dict[str, Any]]:
    """List every setting, and whether it is the default. Weights by name, no folder."""
    default = _flat(tomllib.loads(recipes.to_toml(RunConfig())))
    found = _flat(tomllib.loads(recipes.to_toml(config)))
    if found["init"] != default["init"] and not is_name(found["init"]):
        found["init"] = Path(found["init"]).name
    return [
        {"name": name, "value": value, "is_default": default.get(name) == value}
        for name, value in found.items()
    ]


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name what stands in inner tables by ``table.name``.

    >>> _flat({"a": 1, "b": {"c": [2, 3]}})
    {'a': 1, 'b.c': [2, 3]}
    """
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _hashes(
    run: RunFolder, split: Split, models: list[dict[str, Any]]
) -> dict[str, str]:
    named = {
        "cohort": split.cohort,
        "split": read_json(run.path / "split.json")["hash"],
    }
    named["settings"] = sha256_of(run.path / "config.toml")
    for number, model in enumerate(models, 1):
        name = "model" if len(models) == 1 else f"model of fold {number}"
        named[name] = model["sha256"]
    return named
