"""Scores of subgroups of participants, and how far apart the subgroups are.

Groups with fewer participants than ``FEWEST_OF_A_GROUP``, or fewer than
``FEWEST_OF_A_SIDE`` on either side of the endpoint, are "too few to say".

Shapes: n rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from vit_dementia.evaluation import intervals
from vit_dementia.evaluation.entries import Entry, entry, entry_of
from vit_dementia.evaluation.intervals import Interval
from vit_dementia.evaluation.measures import MEASURES, Measure
from vit_dementia.evaluation.predictions import UNKNOWN
from vit_dementia.evaluation.rows import Rows

FEWEST_OF_A_GROUP = 20
FEWEST_OF_A_SIDE = 5
SCORES = ("auroc", "sensitivity", "specificity", "balanced_accuracy")


def age_bands(
    age_years: Float[np.ndarray, " n"], edges: Sequence[int] = (60, 70, 80)
) -> list[str]:
    """Name the band of each age; ``n/a`` where it is not known.

    >>> age_bands(np.array([59.0, 60.0, 85.0, np.nan]))
    ['below 60', '60 to 69', '80 and above', 'n/a']
    """
    names = [
        f"below {edges[0]}",
        *(f"{low} to {high - 1}" for low, high in pairwise(edges)),
        f"{edges[-1]} and above",
    ]
    bands = np.searchsorted(edges, age_years, side="right")
    return [
        UNKNOWN if np.isnan(age) else names[band]
        for age, band in zip(age_years, bands, strict=True)
    ]


def by_group(
    rows: Rows, group: Shaped[np.ndarray, " n"], *, seed: int
) -> dict[str, dict[str, Any]]:
    """Return for each group its number of participants and its scores.

    A group that is too small has ``"too_few"`` with the reason instead of scores. Every
    other group's ``"gap"`` is each of its scores less that of the largest group.
    """
    names = np.unique(group).tolist()
    mine = {name: group == name for name in names}
    people = {name: rows.people_of(mine[name]) for name in names}
    reasons = {name: _too_few(rows, mine[name]) for name in names}
    enough = [name for name in names if reasons[name] is None]
    largest = max(enough, key=lambda name: people[name], default=None)
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        found[str(name)] = {"n_participants": people[name]}
        if reasons[name] is not None:
            found[str(name)]["too_few"] = reasons[name]
            continue
        part = rows.part(mine[name])
        found[str(name)]["scores"] = {
            key: entry_of(MEASURES[key], part, seed=seed) for key in SCORES
        }
        if largest is not None and name != largest:
            other = rows.part(mine[largest])
            found[str(name)]["gap"] = {"to": str(largest)} | {
                key: _gap(MEASURES[key], part, other, seed) for key in SCORES
            }
    return found


def _too_few(rows: Rows, mine: Bool[np.ndarray, " n"]) -> str | None:
    people = rows.people_of(mine)
    if people < FEWEST_OF_A_GROUP:
        return f"too few to say: {people} participants, {FEWEST_OF_A_GROUP} are needed"
    for side, name in [(rows.is_positive, "positive"), (~rows.is_positive, "negative")]:
        people = rows.people_of(mine & side)
        if people < FEWEST_OF_A_SIDE:
            return (
                f"too few to say: {people} participants on the {name} side, "
                f"{FEWEST_OF_A_SIDE} are needed"
            )
    return None


def by_stage(rows: Rows, *, seed: int) -> dict[str, dict[str, Any]]:
    """Return for each class how many are found, or, of a negative one, cleared."""
    found: dict[str, dict[str, Any]] = {}
    for index, name in enumerate(rows.classes):
        mine = rows.label == index
        people = rows.people_of(mine)
        found[name] = {"n_participants": people}
        if people < FEWEST_OF_A_SIDE:
            found[name]["too_few"] = (
                f"too few to say: {people} participants, {FEWEST_OF_A_SIDE} are needed"
            )
            continue
        side = "sensitivity" if name in rows.positive else "specificity"
        part = rows.part(mine)
        found[name]["scores"] = {side: entry_of(MEASURES[side], part, seed=seed)}
    return found


def _gap(measure: Measure, first: Rows, second: Rows, seed: int) -> Entry:
    """Return the difference of a score of two groups, drawn independently."""

    def interval() -> Interval:
        drawn = [
            intervals.bootstrap(
                measure.kernel(rows), measure.people(rows), seed=seed + place
            )
            for place, rows in enumerate((first, second))
        ]
        found = intervals.percentile(drawn[0] - drawn[1])
        return Interval(found.low, found.high, measure.drawing(first, found))

    def value() -> float:
        return measure.value(first) - measure.value(second)

    return entry(value, interval)
