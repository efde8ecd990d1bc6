"""The report of an evaluation: one HTML file that needs no network, and its figures.

Everything in it comes from ``metrics.json``, the predictions and the facts given; it
names no path and no participant.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from vit_dementia.evaluation.above_floor import COMPARED
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.rows import Rows
from vit_dementia.files import write_bytes, write_text
from vit_dementia.workflows import report_words as words
from vit_dementia.workflows.report_figures import draw
from vit_dementia.workflows.report_picture import Picture

TITLE = "How good is this model?"


def write_report(
    folder: Path,
    *,
    metrics: dict[str, Any],
    predictions: Predictions,
    floors: Mapping[str, Predictions],
    history: Sequence[Mapping[str, Any]] = (),
    facts: Mapping[str, Any],
    fold_of: Mapping[str, object] | None = None,
) -> Path:
    """Write ``report.html`` and ``figures/*.png`` into a folder; return the report.

    Args:
        folder: where to write; made if missing.
        metrics: what ``evaluation.scores.score`` returned.
        predictions: what was scored.
        floors: what they were scored beside, by name.
        history: the lines of ``history.jsonl``; none: no learning curves.
        facts: what to say about the run, by name, in order; no paths.
        fold_of: as it was given to ``score``.
    """
    pictures = draw(
        metrics,
        _rows(predictions, metrics, fold_of),
        {name: _rows(floor, metrics, fold_of) for name, floor in floors.items()},
        history,
    )
    for picture in pictures:
        write_bytes(folder / "figures" / f"{picture.name}.png", picture.png)
    path = folder / "report.html"
    write_text(path, _page(metrics, pictures, facts))
    return path


def _rows(
    told: Predictions, metrics: Mapping[str, Any], fold_of: Mapping[str, object] | None
) -> Rows:
    labeled = told.labeled()
    if metrics["by_participant"] and told.participants_known:
        labeled = labeled.by_participant().labeled()
    return Rows.of(labeled, positive=metrics["endpoint"]["positive"], fold_of=fold_of)


def _page(
    metrics: Mapping[str, Any], pictures: Sequence[Picture], facts: Mapping[str, Any]
) -> str:
    unit = words.unit_of(metrics)
    drawn = {picture.name: picture for picture in pictures}

    def picture(name: str, kind: str = "") -> Markup:
        return _figure(drawn[name], kind) if name in drawn else Markup()

    source = resources.files(__package__).joinpath("report.html.j2")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    template = environment.from_string(source.read_text(encoding="utf-8"))
    return template.render(
        title=TITLE,
        disclaimer=metrics["disclaimer"],
        notes=[*metrics["notes"], *metrics["warnings"]],
        summary=words.summary(metrics),
        cannot_claim=words.cannot_claim(metrics),
        picture=picture,
        compared=[words.MEANING[name][0] for name in COMPARED],
        floor_rows=_floor_rows(metrics),
        verdicts=words.floor_verdicts(metrics),
        endpoint=metrics["endpoint"]["words"],
        threshold=metrics["threshold"],
        pooling=metrics["pooling"],
        by_participant=unit == "participant",
        unit=unit,
        columns=[f"by {name}" for name in _units(metrics)],
        score_rows=_score_rows(metrics),
        beside_scores=[*words.chance(metrics), *words.calibration(metrics)],
        score_notes=_score_notes(metrics),
        methods=words.methods(metrics),
        class_rows=_class_rows(metrics),
        facts=[(name.replace("_", " "), _said(facts[name])) for name in facts],
    )


def _figure(picture: Picture, kind: str) -> Markup:
    """Return a figure with its picture inside; alt text and caption are escaped."""
    source = "data:image/png;base64," + base64.b64encode(picture.png).decode("ascii")
    return Markup(
        '<figure class="{}"><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>'
    ).format(kind, source, picture.alt, picture.caption)


def _units(metrics: Mapping[str, Any]) -> list[str]:
    units = ("participant", "session", "image")
    return [unit for unit in units if metrics.get(f"by_{unit}")]


def _floor_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    ours = metrics[f"by_{words.unit_of(metrics)}"]["scores"]
    return [
        {"name": name, "cells": [words.number(scores[key]) for key in COMPARED]}
        for name, scores in {"this model": ours, **metrics["floors"]}.items()
    ]


def _score_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    sections = [metrics[f"by_{unit}"] for unit in _units(metrics)]
    rows = []
    for key, (name, meaning) in words.MEANING.items():
        cells = [words.number(section["scores"][key]) for section in sections]
        rows.append({"name": name, "cells": cells, "meaning": meaning})
    for key, name, meaning in [
        ("auroc_delong", "AUROC, DeLong's interval", "the same, another interval"),
        (
            "auroc_pooled_over_folds",
            "AUROC pooled over folds",
            "ranks people of different folds, so of different models",
        ),
    ]:
        if any(key in section for section in sections):
            cells = [words.number(s[key]) if key in s else "" for s in sections]
            rows.insert(1, {"name": name, "cells": cells, "meaning": meaning})
    return rows


def _score_notes(metrics: Mapping[str, Any]) -> list[str]:
    """Return the notes of scores, each once, with the scores it belongs to."""
    scores_of: dict[str, list[str]] = {}
    for key, entry in metrics[f"by_{words.unit_of(metrics)}"]["scores"].items():
        if "note" in entry:
            scores_of.setdefault(entry["note"], []).append(words.MEANING[key][0])
    return [f"{', '.join(names)}: {note}." for note, names in scores_of.items()]


def _class_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    by_class = metrics[f"by_{words.unit_of(metrics)}"]["by_class"]
    return [
        {
            "name": name,
            "people": found["n_participants"],
            "images": f"{found['n_images']:,}",
            "sensitivity": words.number(found["sensitivity"]),
            "auroc": words.number(found["auroc"]),
        }
        for name, found in by_class.items()
    ]


def _said(value: object) -> str:
    """Say a fact as people write it.

    >>> _said(0.123456), _said(["a", 1]), _said({"train": 10})
    ('0.1235', 'a, 1', 'train: 10')
    """
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_said(inner)}" for name, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_said(inner) for inner in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
