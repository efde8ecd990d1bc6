"""Model card and data card: the report's facts as two pages of Markdown.

The head of the model card is the YAML that the Hugging Face hub reads. What nobody told
is "not provided": the lines to fill in before a model is passed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vit_dementia.workflows.report.answers import counted, leak_sentence
from vit_dementia.workflows.report.people import NOT_PROVIDED
from vit_dementia.workflows.report.words import Metrics, number, title, unit_of

Study = Mapping[str, Any]
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#!~&])")
_HUB_METRICS = {
    "auroc": "roc_auc",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "macro_f1": "f1",
    "brier": "brier_score",
}
_TAGS = ["brain-mri", "dementia", "vision-transformer", "research-use-only"]


def plain(text: object) -> str:
    r"""Return text as Markdown that says just that.

    >>> plain("very_mild <b>")
    'very\\_mild \\<b\\>'
    """
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split()))


def model_card(content: Mapping[str, Any], metrics: Metrics, study: Study) -> str:
    """Return the model card.

    Args:
        content: that of ``report.json``.
        metrics: the content of ``metrics.json``.
        study: what ``study.study_of`` found.
    """
    known = {row["name"]: row["said"] for row in content["model"]}
    unit = unit_of(metrics)
    floors, classes = content["floors"], _listed(metrics["classes"])
    weights = study["hashes"].get("model", NOT_PROVIDED)
    return _page(
        _head(metrics, study),
        "Vision Transformer for brain MRI",
        [f"**{plain(content['disclaimer'])}**"],
        {
            "Model": [
                *_facts(known, ("Model", "Weights began", "Preparation")),
                f"- Classes, in the order of the outputs: {classes}.",
                f"- SHA-256 of the weights: `{weights}`",
            ],
            "Intended use": [plain(_sentence(known["Intended use"]))],
            "How good it is": [
                plain(" ".join(content["summary"])),
                "",
                f"Scores by {unit} with 95 % intervals, {plain(content['endpoint'])}:",
                "",
                *_table(["", *floors["columns"]], floors["rows"]),
            ],
            "What cannot be claimed": [
                f"- {plain(c)}" for c in content["cannot_claim"]
            ],
            "Training": [
                *_facts(known, ("Training", "Kept", "Unequal classes")),
                *(f"- {r['name']}: {plain(r['said'])}" for r in content["compute"]),
                f"- {plain(leak_sentence(study))}",
            ],
            "Data": [
                f"- Source: {plain(study['data_source'] or NOT_PROVIDED)}",
                f"- License: {plain(study['data_license'] or NOT_PROVIDED)}",
                *_divided(study),
                "- Reference standard, by whom and by which criteria: not provided",
                "- The data card says who they are.",
            ],
            "Before passing it on": [
                "- License of the weights: not provided",
                "- Test at another site: " + plain(content["external"] or NOT_PROVIDED),
                "- Who answers for the model, and where faults go: not provided",
            ],
        },
    )


def data_card(content: Mapping[str, Any], study: Study) -> str:
    """Return the data card: who they are, how they were divided, what is not known."""
    from huggingface_hub import DatasetCardData  # slow to import

    head = DatasetCardData(
        license="unknown", task_categories=["image-classification"], tags=_TAGS[:2]
    ).to_yaml()
    people, by_class, flow = study["people"], study["people_by_class"], study["flow"]
    left = flow["left_out"]
    named = ", ".join(f"{n:,} by {how}" for how, n in study["identity"].items())
    return _page(
        head,
        "The scans and whose they are",
        [f"**{plain(content['disclaimer'])}**"],
        {
            "Participants": [
                f"- Came in: {counted(flow['came_in'])}",
                f"- Used: {counted(flow['used'])}",
                "- How they were found and asked: not provided",
                "",
                *_table(["", *people["columns"]], people["rows"]),
            ],
            "Diagnosis": [
                f"- Classes, in order: {_listed(study['classes'])}.",
                "- By whom, by which criteria, how long from the scan: not provided",
            ],
            "Age, sex, site by class": [
                *_table(["", *by_class["columns"]], by_class["rows"]),
                "",
                "A difference between classes is something a model can learn instead "
                "of the disease.",
            ],
            "Scans": [
                "- Sequence, scanner, field strength, what was done to them: "
                "not provided",
            ],
            "Identity": [
                f"- Scans are tied to participants: {plain(named)}.",
                "- Relatives among them: not provided",
            ],
            "Division": [
                f"- By {study['audit']['split_by']}; split "
                f"`{study['hashes']['split'][:16]}`, cohort "
                f"`{study['hashes']['cohort'][:16]}`.",
                *_divided(study),
            ],
            "Known defects": [
                f"- {plain(leak_sentence(study))}",
                f"- Left out: {left['scans']:,} scans",
                *(f"  - {n:,}: {plain(why)}" for why, n in left["reasons"].items()),
            ],
            "Terms": [
                f"- Source: {plain(study['data_source'] or NOT_PROVIDED)}",
                f"- License: {plain(study['data_license'] or NOT_PROVIDED)}",
            ],
        },
    )


def _head(metrics: Metrics, study: Study) -> str:
    from huggingface_hub import EvalResult, ModelCardData  # slow to import

    unit = unit_of(metrics)
    scores = metrics[f"by_{unit}"]["scores"]
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type="brain-mri",
            dataset_name=study["data_source"] or NOT_PROVIDED,
            dataset_split=study["scored"],
            metric_type=hub_name,
            metric_value=round(scores[name]["value"], 4),
            metric_name=f"{title(name)} by {unit}: {number(scores[name])}",
        )
        for name, hub_name in _HUB_METRICS.items()
        if scores[name]["value"] is not None
    ]
    return ModelCardData(
        library_name="vit-dementia",
        pipeline_tag="image-classification",
        license="unknown",
        tags=_TAGS,
        metrics=[result.metric_type for result in results],
        model_name="Vision Transformer for brain MRI",
        eval_results=results,
    ).to_yaml()


def _page(
    head: str, name: str, start: Sequence[str], sections: Mapping[str, Sequence[str]]
) -> str:
    lines = ["---", head.strip(), "---", "", f"# {name}", "", *start]
    for heading, body in sections.items():
        lines += ["", f"## {heading}", "", *body]
    return "\n".join(lines) + "\n"


def _table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    lines = [
        [plain(name) for name in columns],
        ["---"] * len(columns),
        *([plain(row["name"]), *map(plain, row["cells"])] for row in rows),
    ]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _facts(known: Mapping[str, str], names: Sequence[str]) -> list[str]:
    return [f"- {name}: {plain(known[name])}" for name in names if name in known]


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(plain(name) for name in names)


def _divided(study: Study) -> list[str]:
    return [
        f"- {plain(part['name'])}: {counted(part)} ({plain(part['purpose'])})"
        for part in study["flow"]["parts"]
    ]
