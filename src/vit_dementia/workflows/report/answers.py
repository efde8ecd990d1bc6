"""What the data answer of reporting guidelines and cards, each answer in a sentence.

A key that is missing is not provided. Everything comes from ``metrics.json`` and what
``study`` found in the run folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vit_dementia.workflows.report.study import EXTERNAL
from vit_dementia.workflows.report.words import Metrics, methods, unit_of

Study = Mapping[str, Any]
INTENDED_USE = (
    "research on brain MRI like the scans it was trained on; not a medical device, "
    "not for diagnosis"
)


def answers(metrics: Metrics, study: Study | None) -> dict[str, str]:
    """Return what is known, by the keys that checklists and cards ask for."""
    known = _of_scores(metrics)
    if study is not None:
        known |= _of_study(study) | _of_model(study) | _of_settings(study)
    return {key: said for key, said in known.items() if said}


def _of_scores(metrics: Metrics) -> dict[str, str]:
    floors = ", ".join(metrics["floors"])
    return {
        "intended_use": INTENDED_USE,
        "endpoint": f"to tell {metrics['endpoint']['words']}",
        "classes": f"{', '.join(metrics['classes'])}; who gave them, by which criteria "
        "and how long from the scan is not provided",
        "input": "the scan alone; no age, sex or test score is given to the model",
        "no_judges": "not applicable: the predictors are pixels",
        "measures": "see Scores: discrimination, calibration, decision curve",
        "no_updating": "not applicable: no model was updated",
        "output": f"a probability of each class; {metrics['threshold']}",
        "uncertainty": "; ".join(methods(metrics)),
        "performance": "see Scores, By class"
        + (", Subgroups" if metrics.get("subgroups") else ""),
        "subgroups": "see Subgroups" if metrics.get("subgroups") else "",
        "robustness": "see Robustness" if metrics.get("robustness") else "",
        "floors": f"beside {floors}, on the same people" if floors else "",
        "failures": "see Examples and the confusion matrix",
        "summary": "see the first paragraph",
        "limits": "see What cannot be claimed",
        "code": "vit-dementia, open source under Apache-2.0; data and protocol: not "
        "provided",
    }


def _of_study(study: Study) -> dict[str, str]:
    flow, audit = study["flow"], study["audit"]
    unit = audit["split_by"]
    left = flow["left_out"]
    reasons = ", ".join(f"{n:,} {why}" for why, n in left["reasons"].items())
    sizes = "; ".join(f"{part['name']}: {counted(part)}" for part in flow["parts"])
    return {
        "source": study["data_source"] or "",
        "license": study["data_license"] or "",
        "sites": _row(study, "sites or scanners"),
        "left_out": f"{left['scans']:,} of {flow['came_in']['scans']:,} scans left out"
        + (f": {reasons}" if reasons else "")
        + "; nothing was imputed",
        "division": f"by {unit}, drawn once and kept as a file. {sizes}",
        "disjoint": f"{unit}. {leak_sentence(study)}",
        "sizes_no_reason": f"{sizes}; the reason for these numbers is not provided",
        "external": f"this is one: {sizes}" if study["scored"] == EXTERNAL else "",
        "flow": "see Who came in, and where they went",
        "people": "see Who they are",
    }


def _of_model(study: Study) -> dict[str, str]:
    a, compute = study["architecture"], study["compute"]
    if a is None:
        return {}
    size = "\N{MULTIPLICATION SIGN}".join(map(str, a["image_size"]))
    patch = "\N{MULTIPLICATION SIGN}".join(map(str, a["patch_size"]))
    model = (
        f"Vision Transformer: {a['depth']} blocks, width {a['embed_dim']}, "
        f"{a['num_heads']} heads, patches of {patch} on {size} pixels, "
        f"{a['channels']} channel{'s' if a['channels'] > 1 else ''}, "
        f"{a['num_classes']} outputs"
    )
    several = compute["models"] > 1
    return {
        "model": model,
        "prediction": "the model folder holds weights, classes and preparation; "
        "vit-dementia predict applies them",
        "specification": f"{model}; weights by their hash, see Hashes",
        "ensemble": "none: each fold has its own model and each participant is scored "
        "by the one that never saw them"
        if several
        else "none",
    }


def _of_settings(study: Study) -> dict[str, str]:
    of = {setting["name"]: setting["value"] for setting in study["settings"]}
    versions = study["environment"]
    scratch = of["init"] == "scratch"
    software = [f"vit-dementia {versions['vit_dementia']}"]
    software += [f"Python {versions['python']}", f"torch {versions['versions.torch']}"]
    balance = {"none": "nothing was done about it", "weights": "the loss was weighed"}
    epochs = {fact["epoch"] for fact in study["training"] if "epoch" in fact}
    kept = ", ".join(map(str, sorted(epochs)))
    return {
        "software": ", ".join(software),
        "initialization": "at random, as in the paper"
        if scratch
        else f"pre-trained weights: {of['init']}",
        "preparation": f"each slice scaled to one size ({of['data.fit']}) and one "
        "brightness; the same lines prepare for training and prediction",
        "training": f"{of['train.epochs']} epochs, batches of {of['train.batch_size']},"
        f" {of['train.optimizer']}, learning rate {of['train.learning_rate']:g}; "
        "every setting stands in config.toml",
        "selection": "the epoch with the best balanced accuracy on validation"
        + (f": {kept}" if kept else ""),
        "imbalance": balance.get(of["train.balance"], "rare classes were drawn more"),
    }


def counted(of: Mapping[str, Any]) -> str:
    """Say how many people and scans.

    >>> counted({"participants": 1, "scans": 1200})
    '1 participant, 1,200 scans'
    """
    scans = f"{of['scans']:,} scan{'' if of['scans'] == 1 else 's'}"
    people = of["participants"]
    if people is None:
        return scans
    return f"{people:,} participant{'' if people == 1 else 's'}, {scans}"


def leak_sentence(study: Study) -> str:
    """Say what the audit of the split found, and why a leak was allowed."""
    audit = study["audit"]
    said = "; ".join(audit["leakage"]) or "the split was not audited"
    if audit["allowed"]:
        said += f" (allowed: {audit['allowed']})"
    return said[0].upper() + said[1:] + "."


def unit_words(metrics: Metrics) -> str:
    """Return ``participants`` or ``images``: what scores count."""
    return f"{unit_of(metrics)}s"


def _row(study: Study, name: str) -> str:
    for row in study["people"]["rows"]:
        if row["name"] == name:
            said = row["cells"][-1]
            return "" if said == "not provided" else f"{said} (sites or scanners)"
    return ""
