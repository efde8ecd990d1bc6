"""The report of an evaluation: one HTML file that needs no network, and its figures.

Everything in it comes from ``metrics.json``, the predictions and the run folder; it
names no path and no participant. ``report.json`` says the same to programs.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.rows import Rows
from vit_dementia.files import sha256_of, write_bytes, write_json, write_text
from vit_dementia.workflows.report.answers import counted
from vit_dementia.workflows.report.cards import data_card, model_card
from vit_dementia.workflows.report.checklists import count_answered
from vit_dementia.workflows.report.content import content_of
from vit_dementia.workflows.report.examples import (
    ExplainOne,
    choose_examples,
    explain_examples,
    lines_of,
    middle_scans,
    thumbnails,
)
from vit_dementia.workflows.report.figures import draw
from vit_dementia.workflows.report.people import NOT_PROVIDED
from vit_dementia.workflows.report.picture import Picture
from vit_dementia.workflows.report.study import OUT_OF_FOLD

_HASHED = ("predictions.tsv", "predictions_participants.tsv", "metrics.json")


def write_report(
    folder: Path,
    *,
    metrics: dict[str, Any],
    predictions: Predictions,
    floors: Mapping[str, Predictions],
    study: Mapping[str, Any] | None = None,
    fold_of: Mapping[str, object] | None = None,
    scans: Path | None = None,
    explain: ExplainOne | None = None,
) -> Path:
    """Write ``report.html``, ``report.json``, ``figures/`` and cards; return the page.

    Args:
        folder: where to write; made if missing.
        metrics: what ``evaluation.scores.score`` returned.
        predictions: what was scored.
        floors: what they were scored beside, by name.
        study: what ``study.study_of`` found; None: a table from elsewhere.
        fold_of: as it was given to ``score``.
        scans: folder of the scans, if small pictures of some may be shown.
        explain: maps one scan for one class; None: no maps. Needs ``scans``.
    """
    told = _told(predictions, metrics)
    pictures = draw(
        metrics,
        _rows(told, metrics, fold_of),
        {n: _rows(_told(f, metrics), metrics, fold_of) for n, f in floors.items()},
        study["history"] if study else (),
    )
    for picture in pictures:
        write_bytes(folder / "figures" / f"{picture.name}.png", picture.png)
        write_bytes(folder / "figures" / f"{picture.name}.svg", picture.svg)
    examples = choose_examples(told)
    lines, rows = lines_of(told, predictions), [one.pop("row") for one in examples]
    shown, maps = list[str](), list[str]()
    if scans is not None:
        of_row = middle_scans(told, predictions)
        paths = [of_row[row] for row in rows]
        shown = thumbnails(scans, paths)
        if explain is not None:
            files = [scans / path for path in paths]
            examples, maps = explain_examples(examples, files, explain)
    content = content_of(
        metrics,
        study,
        examples=[
            {**one, "line": lines[row]} for one, row in zip(examples, rows, strict=True)
        ],
        pictures=pictures,
        hashes={
            name: sha256_of(folder / name)
            for name in _HASHED
            if (folder / name).is_file()
        },
    )
    write_json(folder / "report.json", content)
    if study is not None:
        write_text(folder / "data_card.md", data_card(content, study))
        if study["scored"] != OUT_OF_FOLD:  # of several models none is passed on
            card = model_card(content, metrics, study)
            write_text(folder / "model_card.md", card)
    path = folder / "report.html"
    write_text(path, render(content, pictures, shown, maps))
    return path


def render(
    content: Mapping[str, Any],
    pictures: Sequence[Picture] = (),
    thumbnails: Sequence[str] = (),
    maps: Sequence[str] = (),
) -> str:
    """Return the page that says what ``report.json`` says.

    Args:
        content: that of ``report.json``.
        pictures: the figures.
        thumbnails: for each example the address of a small picture; none: not shown.
        maps: the same with the map on it.
    """
    drawn = {picture.name: picture for picture in pictures}

    def picture(name: str, kind: str = "") -> Markup:
        return _figure(drawn[name], kind) if name in drawn else Markup()

    source = resources.files(__package__).joinpath("report.html.j2")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.from_string(source.read_text(encoding="utf-8"))
    return template.render(
        content,
        picture=picture,
        thumbnails=list(thumbnails),
        maps=list(maps),
        counted=counted,
        answered=count_answered,
        said=_said,
        not_provided=NOT_PROVIDED,
    )


def _told(predictions: Predictions, metrics: Mapping[str, Any]) -> Predictions:
    """Return what was scored first: people, or images where nobody is known."""
    if metrics["by_participant"] and predictions.participants_known:
        return predictions.labeled().by_participant()
    return predictions


def _rows(
    told: Predictions, metrics: Mapping[str, Any], fold_of: Mapping[str, object] | None
) -> Rows:
    return Rows.of(
        told.labeled(), positive=metrics["endpoint"]["positive"], fold_of=fold_of
    )


def _figure(picture: Picture, kind: str) -> Markup:
    """Return a figure with its picture inside; alt text and caption are escaped."""
    source = "data:image/svg+xml;base64," + base64.b64encode(picture.svg).decode()
    return Markup(
        '<figure class="{}"><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>'
    ).format(kind, source, picture.alt, picture.caption)


def _said(value: object) -> str:
    """Say a fact as people write it.

    >>> _said(0.123456), _said(["a", 1]), _said({"train": 10})
    ('0.1235', 'a, 1', 'train: 10')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_said(inner)}" for name, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_said(inner) for inner in value)
    if value in ("", None):
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
