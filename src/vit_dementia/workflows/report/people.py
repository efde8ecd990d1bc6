"""Who is in a study: how many, of which class, age and sex, part by part.

Counts only: no path and no participant.

Shapes: n scans.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from vit_dementia.data.cohort import Cohort
from vit_dementia.evaluation.predictions import UNKNOWN

NOT_PROVIDED = "not provided"
SEVERAL = "more than one"
_CAUSES = (  # what a line about a file says after its path, and how a report says it
    (r"does not exist|cannot be opened", "file missing or not readable"),
    (r"is empty", "empty file"),
    (r"damaged|cut off|not finite", "damaged file"),
    (r"every pixel has the same value", "empty picture"),
    (r"at most|too large", "larger than is read"),
    (r"image is needed|regular file|is not a file name", "not an image"),
    (r"pages", "more than one slice in a file"),
    (r"16-bit color", "format that cannot be kept exactly"),
    (r"not UTF-8", "file name that cannot be stored"),
)


def people_table(
    cohort: Cohort,
    parts: Mapping[str, Bool[np.ndarray, " n"]],
    *,
    of_classes: bool = True,
) -> dict[str, Any]:
    """Return a table: a row for each characteristic, a column for each part.

    Participants are counted, each once in a part; scans where they are unknown. Age is
    that of the first row.

    Args:
        cohort: who there is.
        parts: which rows stand in which column.
        of_classes: with a row for each class.
    """
    of_part = {name: _people(cohort, mask) for name, mask in parts.items()}
    known = cohort.participants_known
    rows = []
    if known:
        rows.append(("participants", [f"{len(p):,}" for p in of_part.values()]))
    rows.append(("scans", [f"{int(mask.sum()):,}" for mask in parts.values()]))
    for label in (*cohort.classes, SEVERAL, UNKNOWN) if of_classes else ():
        counts = [int((p.label == label).sum()) for p in of_part.values()]
        if label in cohort.classes or any(counts):
            name = {SEVERAL: "several classes", UNKNOWN: "no class known"}
            cells = [
                _share(n, len(p)) for n, p in zip(counts, of_part.values(), strict=True)
            ]
            rows.append((name.get(label, label), cells))
    rows.append(
        ("age in years: mean (SD), range", [_ages(p.age) for p in of_part.values()])
    )
    rows.append(("female", [_women(p.sex) for p in of_part.values()]))
    rows.append(("sites or scanners", [_sites(p.site) for p in of_part.values()]))
    return {
        "counted": "participants" if known else "scans",
        "columns": list(of_part),
        "rows": [{"name": name, "cells": cells} for name, cells in rows],
    }


def causes(problems: Sequence[str]) -> dict[str, int]:
    """Count why files were left out; the words of a line are never repeated.

    >>> causes(["a/b.png: is empty (0 bytes)", "c.png: is empty (0 bytes)"])
    {'empty file': 2}
    """
    found = Counter(_cause(line) for line in problems)
    return dict(found.most_common())


def _cause(line: str) -> str:
    _, _, said = line.partition(": ")
    for pattern, cause in _CAUSES:
        if re.search(pattern, said):
            return cause
    return "other fault"


def _people(cohort: Cohort, mask: Bool[np.ndarray, " n"]) -> pd.DataFrame:
    """Return one row for each participant, or for each scan where they are unknown."""
    table = cohort.table.loc[mask, ["participant_id", "label", "age", "sex", "site"]]
    if not cohort.participants_known:
        return table
    groups = table.groupby("participant_id", sort=True)
    people = groups.first()
    people["label"] = people.label.where(groups.label.nunique() == 1, SEVERAL)
    return people


def _share(count: int, of: int) -> str:
    return f"{count:,} ({count / of:.0%})" if of else f"{count}"


def _ages(age: pd.Series) -> str:
    known = pd.to_numeric(age, errors="coerce").dropna()
    if known.empty:
        return NOT_PROVIDED
    spread = f" ({known.std():.1f})" if len(known) > 1 else ""
    said = f"{known.mean():.1f}{spread}, {known.min():.0f} to {known.max():.0f}"
    return said + _unknown(len(age) - len(known))


def _women(sex: pd.Series) -> str:
    known = sex[sex != UNKNOWN]
    if known.empty:
        return NOT_PROVIDED
    women = int((known == "F").sum())
    return _share(women, len(known)) + _unknown(len(sex) - len(known))


def _sites(site: pd.Series) -> str:
    known = site[site != UNKNOWN]
    if known.empty:
        return NOT_PROVIDED
    return f"{known.nunique()}" + _unknown(len(site) - len(known))


def _unknown(count: int) -> str:
    return f"; {count:,} unknown" if count else ""
