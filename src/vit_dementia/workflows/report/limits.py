"""What the numbers of a report do not show, sentence by sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vit_dementia.evaluation.above_floor import ABOVE
from vit_dementia.evaluation.endpoint import either
from vit_dementia.evaluation.rows import FEWEST
from vit_dementia.workflows.floors import CHANCE, ERASED, MAJORITY
from vit_dementia.workflows.report.words import (
    Metrics,
    count,
    spoken,
    title,
    unit_of,
)

FEW = 30  # participants of a side; below it intervals are themselves unsure
TOO_FEW = 15  # below it they held the truth too seldom: docs/explanation/intervals.md
TOO_NARROW = "interval too narrow at this n"
GUESSING = 0.5  # the AUROC of guessing
_NEEDED = (
    "It is not shown that a Vision Transformer was needed: no floor that learns, such "
    "as a linear model on pixels, was scored beside it."
)
UNSURE = "the intervals are themselves unsure"


def cannot_claim(metrics: Metrics, *, external: bool = False) -> list[str]:
    """Return what the numbers do not show, sentence by sentence.

    Args:
        metrics: the content of ``metrics.json``.
        external: whether other people were scored than the run was given.
    """
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
        "It is not shown that the model works at a third site, on other scanners than "
        "these two, or among other people than those who were scored here."
        if external
        else "It is not shown that the model works at another site, on another "
        "scanner, or among other people than those who were scored here."
    )
    claims += _brain(metrics) + _floors(metrics) + _early(metrics)
    if unit == "participant":
        claims += _few_of_a_side(metrics, section) + _few_of_a_class(section)
    if "auroc_pooled_over_folds" in section:
        claims.append(
            "The intervals say how much depends on who was scored, not how much would "
            "change if the models were trained again."
        )
    claims.append("A score is no diagnosis, and nobody was treated better by it.")
    return claims


def _brain(metrics: Metrics) -> list[str]:
    """Say so where the model still ranks with the brain erased from its input."""
    found = metrics["floors"].get(ERASED, {}).get("auroc", {})
    if found.get("low") is None or found["low"] <= GUESSING:
        return []
    return [
        "It is not shown that the model judges by the brain: with the brain erased, so "
        "that background and silhouette are left, its AUROC is still "
        f"{spoken(found)}."
    ]


def learned_floors(metrics: Metrics) -> set[str]:
    """Return the floors that learn from data: those that are hard to be above.

    >>> learned_floors({"floors": {"majority class": {}, "nearest neighbor": {}}})
    {'nearest neighbor'}
    """
    return set(metrics["floors"]) - {MAJORITY, CHANCE, ERASED}


def _floors(metrics: Metrics) -> list[str]:
    verdicts = metrics["above_floor"]
    if "auroc" not in verdicts:
        return ["It is not shown that a Vision Transformer was needed."]
    if verdicts["auroc"]["verdict"] != ABOVE:
        return [
            "It is not shown that the model is better than what needs no such model: "
            f"its AUROC is {verdicts['auroc']['verdict']}."
        ]
    needed = [] if learned_floors(metrics) else [_NEEDED]
    return needed + [
        f"It is not shown that the model is better in {title(name).lower()}: "
        f"there it is {found['verdict']} ({found['floor']})."
        for name, found in verdicts.items()
        if found["verdict"] != ABOVE
    ]


def _early(metrics: Metrics) -> list[str]:
    early = metrics.get("early")
    if not early:
        return []
    asked = early["endpoint"]["words"]
    if early["scores"]["auroc"]["value"] is None:
        why = early["scores"]["auroc"]["undefined"]
        return [f"Nothing is shown about early detection ({asked}): {why}."]
    found = early["above_floor"].get("auroc")
    if found is None or found["verdict"] == ABOVE:
        return []
    return [
        f"Early detection ({asked}) is not shown: there its AUROC is "
        f"{found['verdict']} ({found['floor']})."
    ]


def _few_of_a_side(metrics: Metrics, section: Mapping[str, Any]) -> list[str]:
    claims = []
    for side in ("positive", "negative"):
        names = metrics["endpoint"][side]
        people = sum(section["by_class"][name]["n_participants"] for name in names)
        if 0 < people < FEW:
            how = (
                TOO_NARROW
                if people < TOO_FEW
                else "the intervals are themselves unsure"
            )
            claims.append(
                f"With only {count(people, 'participant')} of {either(names)}: {how}."
            )
    return claims


def _few_of_a_class(section: Mapping[str, Any]) -> list[str]:
    claims = []
    for name, found in section["by_class"].items():
        people = found["n_participants"]
        if people < FEWEST:
            who = ("nobody", "one participant")[people]
            claims.append(f"Nothing can be said about {name}: {who} is of that class.")
        elif people < TOO_FEW and len(section["by_class"]) > 2:
            claims.append(
                f"What is said of {name} alone rests on "
                f"{count(people, 'participant')}: {TOO_NARROW}."
            )
    return claims
