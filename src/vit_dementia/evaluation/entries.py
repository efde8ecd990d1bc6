"""One score as it stands in ``metrics.json``.

An entry is ``{"value", "low", "high", "method"}``, with ``"note"`` where there is more
to say; ``low`` and ``high`` are null where no honest interval exists, and ``method``
then says why. What cannot be defined is ``{"value": null, "undefined": why}``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vit_dementia.evaluation.intervals import Interval
from vit_dementia.evaluation.measures import Measure
from vit_dementia.evaluation.metrics import UndefinedScoreError
from vit_dementia.evaluation.rows import FEWEST, Rows

Entry = dict[str, Any]


def entry_of(measure: Measure, rows: Rows, *, seed: int) -> Entry:
    """Return a score with its interval and method, or why it is undefined."""
    found = entry(
        lambda: measure.value(rows), lambda: measure.interval(rows, seed=seed)
    )
    notes = []
    if measure.over_classes and len(rows.enough) < len(rows.classes):
        few = [n for i, n in enumerate(rows.classes) if i not in rows.enough]
        notes.append(
            f"mean over the classes with at least {FEWEST} participants: "
            f"without {', '.join(few)}"
        )
    if measure.ranks_across_folds and rows.fold is not None:
        notes.append("ranks participants of different folds against each other")
    return found | ({"note": "; ".join(notes)} if notes else {})


def entry(value: Callable[[], float], interval: Callable[[], Interval]) -> Entry:
    """Return an entry from what finds its number and what finds its interval.

    >>> entry(lambda: 0.5, lambda: Interval(0.4, 0.6, "Wilson"))
    {'value': 0.5, 'low': 0.4, 'high': 0.6, 'method': 'Wilson'}
    """
    try:
        number = value()
    except UndefinedScoreError as why:
        return {"value": None, "undefined": str(why)}
    try:
        found = interval()
    except UndefinedScoreError as why:
        return {"value": number, "low": None, "high": None, "method": str(why)}
    return {
        "value": number,
        "low": found.low,
        "high": found.high,
        "method": found.method,
    }
