"""Yes-or-no scores at lines drawn beforehand, and what a yes or a no then means.

A line is a threshold that was fixed without looking at the participants scored: 0.5, or
one chosen on validation participants. PPV and NPV are those at a stated prevalence
(Bayes), since a study that recruits patients says nothing of how common they are.

Shapes: n rows, b weightings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from vit_dementia.evaluation import weighted
from vit_dementia.evaluation.entries import Entry, entry, entry_of
from vit_dementia.evaluation.intervals import Interval
from vit_dementia.evaluation.measures import MEASURES, Measure
from vit_dementia.evaluation.operating import predictive_values
from vit_dementia.evaluation.rows import THRESHOLD, Rows

HALF = "half"


@dataclass(frozen=True)
class Line:
    """A threshold, one for all or one for each fold's model, and where it is from."""

    threshold: float | Mapping[str, float]
    chosen_on: str

    def applied_to(self, rows: Rows) -> Rows:
        """Return the rows with this threshold.

        Raises:
            ValueError: if a fold has none.
        """
        if isinstance(self.threshold, float):
            return replace(rows, threshold=self.threshold)
        if rows.fold is None or not set(rows.fold) <= set(self.threshold):
            raise ValueError(f"thresholds of the folds {list(self.threshold)} only")
        each = np.array([self.threshold[str(fold)] for fold in rows.fold])
        return replace(rows, threshold=each)


FIXED = Line(THRESHOLD, "fixed beforehand")


def at_lines(
    rows: Rows, lines: Mapping[str, Line], *, prevalence: float | None, seed: int
) -> dict[str, dict[str, Any]]:
    """Return for each line its threshold, sensitivity, specificity, PPV and NPV.

    Args:
        rows: what is scored.
        lines: by name.
        prevalence: the share of people with the condition where the model would be
            used; without one there are no PPV and NPV.
        seed: of the resampling.
    """
    found = {}
    for name, line in lines.items():
        mine = line.applied_to(rows)
        told = line.threshold
        found[name] = {
            "threshold": told if isinstance(told, float) else dict(told),
            "chosen_on": line.chosen_on,
            "sensitivity": entry_of(MEASURES["sensitivity"], mine, seed=seed),
            "specificity": entry_of(MEASURES["specificity"], mine, seed=seed),
        }
        if prevalence is not None:
            for place, value in enumerate(("ppv", "npv")):
                found[name][value] = _predictive(mine, place, prevalence, seed)
    return found


def _predictive(rows: Rows, place: int, prevalence: float, seed: int) -> Entry:
    sides = MEASURES["sensitivity"], MEASURES["specificity"]

    def formula(mine: Rows, weights: Float[np.ndarray, "b n"]) -> np.ndarray:
        found, cleared = (side.formula(mine, weights) for side in sides)
        if place == 0:
            hit, missed = found * prevalence, (1 - cleared) * (1 - prevalence)
        else:
            hit, missed = cleared * (1 - prevalence), (1 - found) * prevalence
        return weighted.ratio(hit, hit + missed)

    def both(pick: Callable[[Measure], float]) -> float:
        found, cleared = (pick(side) for side in sides)
        return predictive_values(found, cleared, prevalence=prevalence)[place]

    def interval() -> Interval:
        if all(0 < side.value(rows) < 1 for side in sides):
            return measure.interval(rows, seed=seed)
        # Every resample would agree; the corners of the two intervals do not.
        ends = [side.interval(rows, seed=seed) for side in sides]
        low, high = (
            predictive_values(*corner, prevalence=prevalence)[place]
            for corner in zip(*((e.low, e.high) for e in ends), strict=True)
        )
        return Interval(
            low, high, "from both intervals' ends, so wider than 95 % asks for"
        )

    measure = Measure(
        formula=formula,
        needs=lambda mine: _need(mine, sides),
        strata=lambda mine: mine.is_positive,
    )
    return entry(lambda: both(lambda side: side.value(rows)), interval)


def _need(rows: Rows, sides: tuple[Measure, Measure]) -> None:
    for side in sides:
        side.needs(rows)
