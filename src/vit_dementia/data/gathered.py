"""Rows on their way to a cohort, and what was met on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

_FIRST = 5  # examples in a message about many


@dataclass(kw_only=True)
class Gathered:
    """Rows on their way to a cohort."""

    root: Path
    table: pd.DataFrame
    labels_named_in: str  # where a fault in a label is to be mended
    classes: tuple[str, ...] | None = None  # told by a cohort.json
    why_unlabelled: str = ""  # where labels were looked for in vain
    faults: list[str] = field(default_factory=list)  # to tell with those found later
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def some(items: Sequence[str]) -> str:
    """Return the first few items as words.

    >>> some(["a", "b", "c", "d", "e", "f"])
    'a, b, c, d, e and 1 more'
    """
    said = ", ".join(items[:_FIRST])
    return said if len(items) <= _FIRST else f"{said} and {len(items) - _FIRST} more"
