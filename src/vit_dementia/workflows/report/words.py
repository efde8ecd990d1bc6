"""What a report says in words, made from the numbers of ``metrics.json`` alone.

The first paragraph is for a clinician: counts of a hundred instead of decimals, what
was measured on whom, what it beats, and what cannot be claimed from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vit_dementia.evaluation.endpoint import either
from vit_dementia.workflows.floors import ERASED

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
    "stage_error": (
        "Stage error",
        "by how many classes the ordered classes are missed; 0 is best",
    ),
    "log_loss": ("Log loss", "cost of the probabilities; 0 is best"),
    "brier": ("Brier score", "squared error of the probabilities; 0 is best"),
}


def title(name: str) -> str:
    """Return the name of a score as people write it.

    >>> title("auroc"), title("a_new_score")
    ('AUROC', 'A new score')
    """
    known = MEANING.get(name)
    return known[0] if known else name.replace("_", " ").capitalize()


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
        return f"{figure(entry['value'])} (no interval)"
    return (
        f"{figure(entry['value'])} ({figure(entry['low'])} to {figure(entry['high'])})"
    )


def spoken(entry: Entry) -> str:
    """Say one score inside a sentence.

    >>> spoken({"value": 0.861, "low": 0.79, "high": 0.91, "method": "Wilson"})
    '0.86, 95 % interval 0.79 to 0.91'
    """
    if entry["value"] is None or entry["low"] is None:
        return number(entry)
    ends = f"{figure(entry['low'])} to {figure(entry['high'])}"
    return f"{figure(entry['value'])}, 95 % interval {ends}"


def summary(metrics: Metrics) -> list[str]:
    """Return the first paragraph, sentence by sentence."""
    unit = unit_of(metrics)
    section = metrics[f"by_{unit}"]
    return [
        _who(metrics, section, unit),
        _ranking(section, unit),
        *_calls(metrics, section, unit),
        *_classes(section),
        *_floor(metrics, unit),
        *_early(metrics, unit),
    ]


def floor_verdicts(metrics: Metrics) -> list[str]:
    """Say for each score compared how it stands to its best floor."""
    sentences = []
    for name, found in metrics["above_floor"].items():
        sentences.append(
            f"{title(name)} is {found['verdict']} ({found['floor']}): "
            f"the difference is {number(found['difference'])}."
        )
    return sentences


def chance(metrics: Metrics) -> list[str]:
    """Say what AUROC comes when labels are dealt out anew."""
    found = metrics[f"by_{unit_of(metrics)}"].get("chance")
    if not found:
        return []
    ends = f"{figure(found['low'])} to {figure(found['high'])}"
    return [
        f"With the labels dealt out anew among the same participants "
        f"({found['deals']:,} times) 95 of 100 AUROCs lie from {ends}; the share that "
        f"reach this model's is p = {found['p_value']:.2g}.",
        *_relearned(metrics),
    ]


def _relearned(metrics: Metrics) -> list[str]:
    """Say what AUROC the linear floors reach when they learn permuted labels."""
    return [
        f"The {name}, trained {null['deals']:,} times on labels dealt out anew, "
        f"reaches an AUROC from {figure(null['low'])} to {figure(null['high'])} in 95 "
        f"of 100; the share that reach what true labels taught it is "
        f"p = {null['p_value']:.2g}."
        for name, null in metrics["floors_relearned"].items()
        if null
    ]


def methods(metrics: Metrics) -> list[str]:
    """Return how the intervals were found, or why there is none, each way once."""
    unit = unit_of(metrics)
    ways: dict[str, list[str]] = {}
    for name, entry in metrics[f"by_{unit}"]["scores"].items():
        if entry["value"] is not None:
            ways.setdefault(entry["method"], []).append(title(name))
    return [f"{way}: {', '.join(names)}" for way, names in ways.items()]


def _early(metrics: Metrics, unit: str) -> list[str]:
    """Say how the mildest grade is told from none: what early detection means."""
    early = metrics.get("early")
    if not early:
        return []
    people = early[f"n_{unit}s"]
    said = (
        f"The early question, {early['endpoint']['words']} ({count(people, unit)}), it "
        f"answers with an AUROC of {spoken(early['scores']['auroc'])}"
    )
    found = early["above_floor"].get("auroc")
    if found is not None:
        said += f", which is {found['verdict']} ({found['floor']})"
    return [f"{said}."]


def figure(value: float) -> str:
    """Say a number with two digits.

    >>> figure(0.125), figure(-0.001)
    ('0.12', '0.00')
    """
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "\N{MINUS SIGN}")


def _hundred(value: float) -> str:
    return f"{round(100 * value)} of 100"


def count(number: int, word: str) -> str:
    """Say how many.

    >>> count(1, "image"), count(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _who(metrics: Metrics, section: Mapping[str, Any], unit: str) -> str:
    images = count(section["n_images"], "image")
    endpoint = metrics["endpoint"]["words"]
    if unit == "image":
        return f"The model was scored on {images} of unknown people, on {endpoint}."
    people = count(section["n_participants"], "participant")
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


def _classes(section: Mapping[str, Any]) -> list[str]:
    """Say how many of each class are given their own, where there are several."""
    found = {
        name: of["sensitivity"]["value"]
        for name, of in section["by_class"].items()
        if of["sensitivity"]["value"] is not None
    }
    if len(section["by_class"]) < 3 or not found:
        return []
    said = [f"{_hundred(value)} with {name}" for name, value in found.items()]
    *first, last = said
    listed = f"{', '.join(first)} and {last}" if first else last
    return [f"Asked for the class itself, it names the right one for {listed}."]


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
    if found["floor"] == ERASED:
        start = "With the brain erased from the scans, this same model still reaches"
    else:
        start = (
            "The best of the methods that need no Vision Transformer "
            f"({found['floor']}) reaches"
        )
    return [
        f"{start} an AUROC of {number(best)} on the same {unit}s.",
        f"{said}: the difference is {difference}.",
    ]
