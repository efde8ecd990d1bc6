"""What a report says in words, made from the numbers of ``metrics.json`` alone.

The first paragraph is for a clinician: counts of a hundred instead of decimals, what
was measured on whom, what it beats, and what cannot be claimed from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vit_dementia.evaluation.endpoint import either

Metrics = Mapping[str, Any]
Entry = Mapping[str, Any]

MEANING: Mapping[str, tuple[str, str]] = {
    "auroc": (
        "AUROC",
        "of two participants, one from each side, how often the right one gets the "
        "higher probability; 0.5 is guessing, 1 is best",
    ),
    "sensitivity": ("Sensitivity", "share of the positive side called positive"),
    "specificity": ("Specificity", "share of the negative side called negative"),
    "sensitivity_at_specificity_90": (
        "Sensitivity at 90 % specificity",
        "share of the positive side found where 90 of 100 negatives are cleared; the "
        "threshold was chosen on the same participants, which flatters",
    ),
    "sensitivity_at_specificity_95": (
        "Sensitivity at 95 % specificity",
        "the same where 95 of 100 are cleared",
    ),
    "auprc": (
        "AUPRC",
        "precision averaged over recall; guessing gives the share of positives",
    ),
    "accuracy": ("Accuracy", "share given their own class"),
    "balanced_accuracy": (
        "Balanced accuracy",
        "share given their own class, averaged over classes",
    ),
    "macro_f1": ("Macro F1", "F1 averaged over classes"),
    "macro_auroc": ("Macro AUROC", "AUROC of each class against the rest, averaged"),
    "matthews_correlation": (
        "Matthews correlation",
        "agreement of true and predicted class; 0 is chance, 1 is best",
    ),
    "quadratic_kappa": (
        "Quadratic kappa",
        "agreement on ordered classes, far mistakes weighing more; 0 is chance",
    ),
    "log_loss": ("Log loss", "cost of the probabilities; 0 is best"),
    "brier": ("Brier score", "squared error of the probabilities; 0 is best"),
}
FEW = 30  # participants of a side; below it intervals are themselves unsure
TOO_FEW = 15  # below it they held the truth too seldom: docs/explanation/intervals.md


def unit_of(metrics: Metrics) -> str:
    """Return ``participant``, or ``image`` where participants are not known."""
    return "participant" if metrics["by_participant"] else "image"


def number(entry: Entry) -> str:
    """Say one score in figures, with its interval or why there is none.

    >>> number({"value": 0.861, "low": 0.79, "high": 0.91, "method": "Wilson"})
    '0.86 (0.79 to 0.91)'
    >>> number({"value": None, "undefined": "one participant"})
    'undefined: one participant'
    """
    if entry["value"] is None:
        return f"undefined: {entry['undefined']}"
    if entry["low"] is None:
        return f"{_figure(entry['value'])} (no interval)"
    return (
        f"{_figure(entry['value'])} "
        f"({_figure(entry['low'])} to {_figure(entry['high'])})"
    )


def spoken(entry: Entry) -> str:
    """Say one score inside a sentence.

    >>> spoken({"value": 0.861, "low": 0.79, "high": 0.91, "method": "Wilson"})
    '0.86, 95 % interval 0.79 to 0.91'
    """
    if entry["value"] is None or entry["low"] is None:
        return number(entry)
    ends = f"{_figure(entry['low'])} to {_figure(entry['high'])}"
    return f"{_figure(entry['value'])}, 95 % interval {ends}"


def summary(metrics: Metrics) -> list[str]:
    """Return the first paragraph, sentence by sentence."""
    unit = unit_of(metrics)
    section = metrics[f"by_{unit}"]
    return [
        _who(metrics, section, unit),
        _ranking(section, unit),
        *_calls(metrics, section, unit),
        *_floor(metrics, unit),
    ]


def cannot_claim(metrics: Metrics) -> list[str]:
    """Return what the numbers do not show, sentence by sentence."""
    unit = unit_of(metrics)
    section = metrics[f"by_{unit}"]
    claims = []
    if metrics["leak"]:
        claims.append(
            "Nothing is shown about new people: some who were scored here were trained "
            "on, and being recognized is not being diagnosed."
        )
    elif unit == "image":
        claims.append(
            "Nothing is shown about new people: images of one person may stand in "
            "training and here, and then even a model that has learned nothing about "
            "dementia scores high."
        )
    claims.append(
        "It is not shown that the model works at another site, on another scanner, or "
        "among other people than those who were scored here."
    )
    verdict = metrics["above_floor"].get("auroc", {}).get("verdict")
    if verdict is None:
        claims.append("It is not shown that a Vision Transformer was needed.")
    elif verdict != "above the floor":
        claims.append(
            "It is not shown that the model is better than what needs no such model."
        )
    claims += _few(metrics, section, unit)
    if "auroc_pooled_over_folds" in section:
        claims.append(
            "The intervals say how much depends on who was scored, not how much would "
            "change if the models were trained again."
        )
    claims.append("A score is no diagnosis, and nobody was treated better by it.")
    return claims


def floor_verdicts(metrics: Metrics) -> list[str]:
    """Say for each score compared how it stands to its best floor."""
    sentences = []
    for name, found in metrics["above_floor"].items():
        title = MEANING[name][0]
        sentences.append(
            f"{title} is {found['verdict']} ({found['floor']}): "
            f"the difference is {number(found['difference'])}."
        )
    return sentences


def chance(metrics: Metrics) -> list[str]:
    """Say what AUROC comes when labels are dealt out anew."""
    found = metrics[f"by_{unit_of(metrics)}"].get("chance")
    if not found:
        return []
    ends = f"{_figure(found['low'])} to {_figure(found['high'])}"
    return [
        f"With the labels dealt out anew among the same participants "
        f"({found['deals']:,} times) 95 of 100 AUROCs lie from {ends}; the share that "
        f"reach this model's is p = {found['p_value']:.2g}."
    ]


def calibration(metrics: Metrics) -> list[str]:
    """Say whether probabilities mean what they say."""
    found = metrics[f"by_{unit_of(metrics)}"]["calibration"]
    if found["slope"]["value"] is None:
        return [f"Calibration is undefined: {found['slope']['undefined']}."]
    return [
        f"Calibration: slope {number(found['slope'])}, 1 is best and below it "
        f"probabilities are too extreme; intercept {number(found['intercept'])}, 0 is "
        f"best; error {_figure(found['error']['value'])} (debiased, 0 is best)."
    ]


def methods(metrics: Metrics) -> list[str]:
    """Return how the intervals were found, or why there is none, each way once."""
    unit = unit_of(metrics)
    ways: dict[str, list[str]] = {}
    for name, entry in metrics[f"by_{unit}"]["scores"].items():
        if entry["value"] is not None:
            ways.setdefault(entry["method"], []).append(MEANING[name][0])
    return [f"{way}: {', '.join(names)}" for way, names in ways.items()]


def _figure(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "\N{MINUS SIGN}")


def _hundred(value: float) -> str:
    return f"{round(100 * value)} of 100"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _who(metrics: Metrics, section: Mapping[str, Any], unit: str) -> str:
    images = _count(section["n_images"], "image")
    endpoint = metrics["endpoint"]["words"]
    if unit == "image":
        return f"The model was scored on {images} of unknown people, on {endpoint}."
    people = _count(section["n_participants"], "participant")
    return f"The model was scored on {people} ({images}), on {endpoint}."


def _ranking(section: Mapping[str, Any], unit: str) -> str:
    entry = section["scores"]["auroc"]
    if entry["value"] is None:
        return f"How well it ranks them cannot be said: {entry['undefined']}."
    return (
        f"Shown two {unit}s, one from each side, it gives the higher probability to "
        f"the right one in {_hundred(entry['value'])} such pairs (AUROC "
        f"{spoken(entry)}); guessing gives 50 of 100."
    )


def _calls(metrics: Metrics, section: Mapping[str, Any], unit: str) -> list[str]:
    found, cleared = (section["scores"][k] for k in ("sensitivity", "specificity"))
    if found["value"] is None or cleared["value"] is None:
        return []
    positive = either(metrics["endpoint"]["positive"])
    negative = either(metrics["endpoint"]["negative"])
    return [
        f"Calling {'somebody' if unit == 'participant' else 'an image'} "
        f"{metrics['threshold']}, it finds {_hundred(found['value'])} {unit}s with "
        f"{positive} and wrongly flags {_hundred(1 - cleared['value'])} with "
        f"{negative}."
    ]


def _floor(metrics: Metrics, unit: str) -> list[str]:
    found = metrics["above_floor"].get("auroc")
    if found is None:
        return []
    best = metrics["floors"][found["floor"]]["auroc"]
    difference = spoken(found["difference"])
    said = {
        "above the floor": "The model is better than that",
        "not above the floor": "The model is not above the floor",
        "below the floor": "The model is worse than that",
    }[found["verdict"]]
    return [
        f"The best of the methods that need no Vision Transformer ({found['floor']}) "
        f"reaches an AUROC of {number(best)} on the same {unit}s.",
        f"{said}: the difference is {difference}.",
    ]


def _few(metrics: Metrics, section: Mapping[str, Any], unit: str) -> list[str]:
    if unit == "image":
        return []
    by_class = section["by_class"]
    claims = []
    for side in ("positive", "negative"):
        names = metrics["endpoint"][side]
        people = sum(by_class[name]["n_participants"] for name in names)
        if 0 < people < FEW:
            how = (
                "too narrow at this number" if people < TOO_FEW else "unsure themselves"
            )
            claims.append(
                f"With only {_count(people, 'participant')} of {either(names)}, the "
                f"intervals are {how}."
            )
    for name, found in by_class.items():
        if found["n_participants"] < 2:
            who = ("nobody", "one participant")[found["n_participants"]]
            claims.append(f"Nothing can be said about {name}: {who} is of that class.")
    return claims
