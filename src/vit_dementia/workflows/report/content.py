"""Everything a report says, as data: ``report.json``, from which the page is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vit_dementia.evaluation.above_floor import ABOVE
from vit_dementia.workflows.report import tables, words
from vit_dementia.workflows.report.answers import answers, leak_sentence
from vit_dementia.workflows.report.checklists import checklists
from vit_dementia.workflows.report.limits import cannot_claim, learned_floors
from vit_dementia.workflows.report.people import NOT_PROVIDED
from vit_dementia.workflows.report.picture import Picture
from vit_dementia.workflows.report.probabilities import probabilities
from vit_dementia.workflows.report.robustness import robustness_table
from vit_dementia.workflows.report.study import EXTERNAL
from vit_dementia.workflows.report.words import Metrics

FORMAT = 1
TITLE = "How good is this model?"
UNSEEN = "Nobody scored here was found among those who trained the model or chose it."
Study = Mapping[str, Any]


def content_of(
    metrics: Metrics,
    study: Study | None,
    *,
    examples: Sequence[Mapping[str, Any]],
    pictures: Sequence[Picture],
    hashes: Mapping[str, str],
) -> dict[str, Any]:
    """Return what the report says: the content of ``report.json``.

    Args:
        metrics: the content of ``metrics.json``.
        study: what ``study.study_of`` found; None: a table from elsewhere.
        examples: what ``examples.choose_examples`` chose.
        pictures: the figures; their words are kept, not their bytes.
        hashes: SHA-256 of the files beside the report.
    """
    known = answers(metrics, study)
    return {
        "format": FORMAT,
        "title": TITLE,
        "disclaimer": metrics["disclaimer"],
        "alerts": [*metrics["notes"], *metrics["warnings"]],
        "glance": _glance(metrics, study),
        "summary": words.summary(metrics),
        "cannot_claim": cannot_claim(metrics, external="external" in known),
        "external": known.get("external"),
        "unit": words.unit_of(metrics),
        "endpoint": metrics["endpoint"]["words"],
        "threshold": metrics["threshold"],
        "pooling": metrics["pooling"],
        "flow": study["flow"] if study else None,
        "people": [study["people"], study["people_by_class"]] if study else [],
        "audit": _audit(metrics, study),
        "floors": tables.floor_table(metrics),
        "floor_verdicts": words.floor_verdicts(metrics),
        "early": tables.early_table(metrics),
        "scores": tables.score_table(metrics),
        "lines": tables.line_table(metrics),
        "folds": tables.fold_table(metrics),
        "repeats": tables.repeat_table(metrics),
        "robustness": robustness_table(metrics),
        "score_notes": [
            *words.chance(metrics),
            *tables.score_notes(metrics),
        ],
        "probabilities": probabilities(metrics),
        "methods": words.methods(metrics),
        "classes": tables.class_table(metrics),
        "subgroups": tables.subgroup_tables(metrics),
        "examples": [dict(example) for example in examples],
        "compute": _compute(study["compute"]) if study else None,
        "model": _model(known),
        "settings": study["settings"] if study else [],
        "environment": study["environment"] if study else {},
        "hashes": {**(study["hashes"] if study else {}), **hashes},
        "checklists": checklists(known),
        "figures": [
            {"name": p.name, "alt": p.alt, "caption": p.caption} for p in pictures
        ],
    }


def _glance(metrics: Metrics, study: Study | None) -> list[dict[str, str]]:
    """Return four facts to take in at a glance: on whom, how good, beside what, leaks.

    ``tone`` is ``good``, ``bad`` or nothing: what a color may underline, said in words.
    """
    unit = words.unit_of(metrics)
    section = metrics[f"by_{unit}"]
    auroc = section["scores"]["auroc"]
    return [
        {"name": "Scored on", "tone": "", **_on_whom(section, unit)},
        {"name": f"AUROC by {unit}", "tone": "", **_said(auroc)},
        {"name": "Beside what needs no model", **_beside(metrics)},
        {"name": "Audit of the split", **_audited(metrics, study)},
    ]


def _on_whom(section: Mapping[str, Any], unit: str) -> dict[str, str]:
    images = words.count(section["n_images"], "image")
    if unit == "image":
        return {"said": images, "more": "whose they are is not known"}
    return {"said": words.count(section["n_participants"], unit), "more": images}


def _said(entry: Mapping[str, Any]) -> dict[str, str]:
    if entry["value"] is None:
        return {"said": "undefined", "more": entry["undefined"]}
    if entry["low"] is None:
        return {"said": words.figure(entry["value"]), "more": entry["method"]}
    ends = f"{words.figure(entry['low'])} to {words.figure(entry['high'])}"
    return {"said": words.figure(entry["value"]), "more": f"95 % interval {ends}"}


def _beside(metrics: Metrics) -> dict[str, str]:
    found = metrics["above_floor"].get("auroc")
    if found is None:
        return {"said": "not compared", "more": "no floor was given", "tone": "bad"}
    more = f"{words.number(found['difference'])} beside {found['floor']}"
    is_good = found["verdict"] == ABOVE and bool(learned_floors(metrics))
    tone = "good" if is_good else "bad"
    return {"said": found["verdict"], "more": more, "tone": tone}


def _audited(metrics: Metrics, study: Study | None) -> dict[str, str]:
    if metrics["leak"]:
        return {"said": "leak, allowed", "more": metrics["leak"], "tone": "bad"}
    if study is None or not study["audit"]["leakage"]:
        return {"said": NOT_PROVIDED, "more": "who trained is unknown", "tone": "bad"}
    if not metrics["participants_known"]:
        return {"said": "not possible", "more": leak_sentence(study), "tone": "bad"}
    more = leak_sentence(study) if study["scored"] != EXTERNAL else UNSEEN
    return {"said": "no leak found", "more": more, "tone": "good"}


def _audit(metrics: Metrics, study: Study | None) -> list[str]:
    if study is None:
        return [
            "What was trained on, and on whom, is not provided: this table came from "
            "elsewhere."
        ]
    unit = study["audit"]["split_by"]
    if study["scored"] == EXTERNAL:
        divided = [
            UNSEEN,
            f"The data that the model was trained on were divided by {unit}.",
        ]
    else:
        divided = [f"The data were divided by {unit}."]
    return [
        *divided,
        leak_sentence(study),
        "Compared were the ids of participants and the bytes of files; near-copies, "
        "confounds and ids in disguise are what vit-dementia check looks for.",
        *([] if metrics["participants_known"] else ["Participants are not known."]),
    ]


def _compute(compute: Mapping[str, Any]) -> list[dict[str, str]]:
    seconds, energy = compute["training_seconds"], compute["energy_kwh"]
    speed = compute["images_per_second"]
    return [
        {
            "name": "Time in training",
            "said": NOT_PROVIDED
            if seconds is None
            else f"{_time(seconds)} in {words.count(compute['epochs'], 'epoch')}, "
            f"{words.count(compute['models'], 'model')}",
        },
        {"name": "Speed", "said": f"{speed:,} images/s" if speed else NOT_PROVIDED},
        {
            "name": "Energy",
            "said": NOT_PROVIDED
            if energy is None
            else f"{energy:.3g} kWh: time in training at {compute['watts']:g} W, which "
            "a person stated; not measured",
        },
        {"name": "Scored on", "said": compute["device"] or NOT_PROVIDED},
    ]


def _time(seconds: float) -> str:
    """Say a time.

    >>> _time(75.0), _time(7500.0)
    ('1 min 15 s', '2 h 5 min')
    """
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _model(known: Mapping[str, str]) -> list[dict[str, str]]:
    names = {
        "model": "Model",
        "initialization": "Weights began",
        "preparation": "Preparation",
        "training": "Training",
        "selection": "Kept",
        "imbalance": "Unequal classes",
        "intended_use": "Intended use",
    }
    return [
        {"name": name, "said": known[key]}
        for key, name in names.items()
        if key in known
    ]
