"""The tables of a report, from the numbers of ``metrics.json`` alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vit_dementia.evaluation.above_floor import COMPARED
from vit_dementia.evaluation.subgroups import SCORES
from vit_dementia.workflows.report.words import (
    MEANING,
    Metrics,
    number,
    title,
    unit_of,
)

_OTHER_WAYS = (
    ("auroc_delong", "AUROC, DeLong's interval", "the same, another interval"),
    (
        "auroc_pooled_over_folds",
        "AUROC pooled over folds",
        "ranks people of different folds, so of different models",
    ),
)


def units(metrics: Metrics) -> list[str]:
    """Return the units that were scored, participants first."""
    known = ("participant", "session", "image")
    return [unit for unit in known if metrics.get(f"by_{unit}")]


def floor_table(metrics: Metrics) -> dict[str, Any]:
    """Return the scores compared, of this model and of each floor."""
    ours = metrics[f"by_{unit_of(metrics)}"]["scores"]
    return {
        "columns": [title(name) for name in COMPARED],
        "rows": [
            {"name": name, "cells": [number(scores[key]) for key in COMPARED]}
            for name, scores in {"this model": ours, **metrics["floors"]}.items()
        ],
    }


def score_table(metrics: Metrics) -> dict[str, Any]:
    """Return every score by every unit, and what it says."""
    sections = [metrics[f"by_{unit}"] for unit in units(metrics)]
    there = sections[0]["scores"]
    rows = []
    for key in sorted(there, key=[*MEANING, *there].index):
        cells = [number(section["scores"][key]) for section in sections]
        meaning = MEANING[key][1] if key in MEANING else ""
        rows.append({"name": title(key), "cells": cells, "meaning": meaning})
    for key, name, meaning in _OTHER_WAYS:
        if any(key in section for section in sections):
            cells = [number(s[key]) if key in s else "" for s in sections]
            rows.insert(1, {"name": name, "cells": cells, "meaning": meaning})
    return {"columns": [f"by {name}" for name in units(metrics)], "rows": rows}


def score_notes(metrics: Metrics) -> list[str]:
    """Return the notes of scores, each once, with the scores it belongs to."""
    scores_of: dict[str, list[str]] = {}
    for key, entry in metrics[f"by_{unit_of(metrics)}"]["scores"].items():
        if "note" in entry:
            scores_of.setdefault(entry["note"], []).append(title(key))
    return [f"{', '.join(names)}: {note}." for note, names in scores_of.items()]


def class_table(metrics: Metrics) -> list[dict[str, Any]]:
    """Return how many of each class there are, and how well they are found."""
    by_class = metrics[f"by_{unit_of(metrics)}"]["by_class"]
    return [
        {
            "name": name,
            "participants": found["n_participants"],
            "images": found["n_images"],
            "sensitivity": number(found["sensitivity"]),
            "auroc": number(found["auroc"]),
        }
        for name, found in by_class.items()
    ]


def early_table(metrics: Metrics) -> dict[str, Any] | None:
    """Return the scores of the mildest grade against none, beside the floors."""
    early = metrics.get("early")
    if not early:
        return None
    sources = {"this model": early["scores"], **early["floors"]}
    compared = [name for name in COMPARED if name in early["scores"]]
    return {
        "endpoint": early["endpoint"]["words"],
        "participants": early["n_participants"],
        "images": early["n_images"],
        "columns": [title(name) for name in compared],
        "rows": [
            {
                "name": name,
                "cells": [
                    number(scores[key]) if key in scores else "" for key in compared
                ],
            }
            for name, scores in sources.items()
        ],
        "others": [
            f"{title(key)} {number(entry)}"
            for key, entry in early["scores"].items()
            if key not in compared
        ],
    }


def line_table(metrics: Metrics) -> dict[str, Any] | None:
    """Return sensitivity and specificity at each threshold fixed beforehand."""
    lines = metrics[f"by_{unit_of(metrics)}"].get("lines")
    if not lines:
        return None
    keys = ["sensitivity", "specificity"]
    if metrics.get("prevalence") is not None:
        keys += ["ppv", "npv"]
    names = {"half": "0.5", "ppv": "PPV", "npv": "NPV"}
    return {
        "columns": [
            "Threshold",
            "Chosen on",
            *(names.get(key, title(key)) for key in keys),
        ],
        "rows": [
            {
                "name": names.get(name, name.replace("_", " ")),
                "cells": [
                    _threshold(line["threshold"]),
                    line["chosen_on"],
                    *(number(line[key]) for key in keys),
                ],
            }
            for name, line in lines.items()
        ],
        "prevalence": metrics.get("prevalence"),
    }


def _threshold(value: float | Mapping[str, float]) -> str:
    """Say a threshold, or the range of those of the folds.

    >>> _threshold(0.5), _threshold({"0": 0.4, "1": 0.6})
    ('0.50', '0.40 to 0.60, by fold')
    """
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{min(value.values()):.2f} to {max(value.values()):.2f}, by fold"


def fold_table(metrics: Metrics) -> dict[str, Any] | None:
    """Return the main scores fold by fold, with their spread."""
    folds = metrics.get("folds")
    if not folds:
        return None
    people = [f"{count:,}" for count in folds["n_participants"].values()]
    columns = [f"fold {name}" for name in folds["n_participants"]]
    return _spread(folds, columns, [{"name": "participants", "cells": [*people, ""]}])


def repeat_table(metrics: Metrics) -> dict[str, Any] | None:
    """Return the main scores of each repetition, with their spread."""
    repeats = metrics.get("repeats")
    if not repeats:
        return None
    return _spread(repeats, [f"time {n}" for n in range(1, repeats["n"] + 1)], [])


def _spread(
    folds: Mapping[str, Any], columns: list[str], rows: list[dict[str, Any]]
) -> dict[str, Any]:
    keys = [key for key in ("auroc", *COMPARED[1:]) if key in folds["scores"]]
    for key in keys:
        spread = folds["scores"][key]
        cells = [_plain(value) for value in spread["each"].values()]
        deviation = "" if spread["sd"] is None else f" ({spread['sd']:.2f})"
        rows.append(
            {"name": title(key), "cells": [*cells, _plain(spread["mean"]) + deviation]}
        )
    return {"columns": [*columns, "mean (SD)"], "rows": rows}


def _plain(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def subgroup_tables(metrics: Metrics) -> list[dict[str, Any]]:
    """Return a table for each attribute that subgroups were made by."""
    return [
        {
            "attribute": attribute,
            "columns": [title(key) for key in SCORES],
            "rows": [_group(name, found) for name, found in groups.items()],
        }
        for attribute, groups in (metrics.get("subgroups") or {}).items()
    ]


def _group(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    gap = found.get("gap")
    return {
        "name": name,
        "participants": found["n_participants"],
        "too_few": found.get("too_few"),
        "cells": [
            number(found["scores"][key]) if key in found.get("scores", {}) else ""
            for key in SCORES
        ],
        "gap": f"{number(gap['auroc'])} to {gap['to']}" if gap else "",
    }
