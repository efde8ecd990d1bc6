"""Whether a model is better than what needs no model, on the same participants.

The interval of (score - best floor) comes from drawing participants once for both, so
that who is easy or hard counts for both alike. The best floor is the one with the
highest score; picking it by its score is in its favor, and so is the doubt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vit_dementia.evaluation.comparisons import paired_interval
from vit_dementia.evaluation.entries import entry
from vit_dementia.evaluation.measures import MEASURES, Measure
from vit_dementia.evaluation.metrics import UndefinedScoreError
from vit_dementia.evaluation.rows import Rows

COMPARED = ("auroc", "balanced_accuracy", "accuracy")  # higher is better in each
ABOVE, NOT_ABOVE, BELOW = "above the floor", "not above the floor", "below the floor"


def compare_with_floors(
    rows: Rows, floors: Mapping[str, Rows], *, seed: int
) -> dict[str, dict[str, Any]]:
    """Return for each score compared: best floor, difference, and a verdict in words.

    "not above the floor" when the interval of the difference includes 0. Scores that
    are undefined for the model or for every floor are left out.
    """
    verdicts = {}
    for name in COMPARED:
        measure = MEASURES[name]
        values = {key: _value(measure, floor) for key, floor in floors.items()}
        defined = {key: value for key, value in values.items() if value is not None}
        if not defined or _value(measure, rows) is None:
            continue
        best = max(defined, key=defined.__getitem__)  # the first of equals
        verdicts[name] = {"floor": best} | _difference(
            measure, rows, floors[best], seed=seed
        )
    return verdicts


def _value(measure: Measure, rows: Rows) -> float | None:
    try:
        return measure.value(rows)
    except UndefinedScoreError:
        return None


def _difference(
    measure: Measure, rows: Rows, floor: Rows, *, seed: int
) -> dict[str, Any]:
    """Compare on the same resamples; rows of both are in the same order."""
    difference = entry(
        lambda: measure.value(rows) - measure.value(floor),
        lambda: paired_interval(measure, rows, floor, seed=seed),
    )
    low, high = difference["low"], difference["high"]
    if low is None:  # every resample differs by the same amount
        low = high = difference["value"]
    verdict = ABOVE if low > 0 else BELOW if high < 0 else NOT_ABOVE
    return {"difference": difference, "verdict": verdict}
