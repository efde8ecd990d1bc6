"""Who is on which scan: as the data say, or told from the images."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from vit_dementia.audit.grouping import group
from vit_dementia.audit.likenesses import Likenesses
from vit_dementia.audit.pictures import Pictures, Problem
from vit_dementia.audit.verification import Verification, verify
from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.participants import SOURCES, Source
from vit_dementia.data.tables import TABLE_SUFFIXES
from vit_dementia.errors import ConfigError, DataError
from vit_dementia.files import write_text
from vit_dementia.workflows.check_record import HowGrouped

COLUMNS = ("path", "participant_id", "slice", "confidence")
"""of the table that is written"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Who:
    """Who is on every readable scan.

    Attributes:
        paths: of the scans, as in the cohort.
        ids: one a scan; None where it cannot be told.
        source: where they come from.
        how: how they were told, and how sure that is.
        slices: place of a scan among those of its person, from 0; -1: unknown.
        confidence: of each scan's id, in [0, 1]; NaN for ids that were given.
        contradictions: ids that the images contradict.
        merged: ``ids``, where two that look like one person are one: for leaks.
    """

    paths: tuple[str, ...]
    ids: tuple[str, ...] | None
    source: Source
    how: HowGrouped
    slices: Int[np.ndarray, " n"]
    confidence: Float[np.ndarray, " n"]
    merged: tuple[str, ...] | None
    contradictions: tuple[Problem, ...] = ()

    @property
    def num_people(self) -> int | None:
        """How many people there are; None where it cannot be told."""
        return None if self.ids is None else len(set(self.ids))


def tell_who(pictures: Pictures, alike: Likenesses) -> Who:
    """Return the ids that the data give, verified, or those that the images tell.

    Args:
        pictures: every readable scan.
        alike: which of them look alike.
    """
    cohort = pictures.cohort
    if cohort.participants_known:
        return _verified(pictures, alike)
    grouping = group(pictures, alike=alike)
    how = HowGrouped(
        grouping.method, float(grouping.confidence.mean()), grouping.estimated_error
    )
    ids = grouping.participant if grouping.certain else None
    return Who(
        paths=tuple(cohort.table["path"]),
        ids=ids,
        merged=ids,
        source="image-content" if grouping.certain else "unknown",
        how=how,
        slices=grouping.slice_order.astype(np.int64),
        confidence=grouping.confidence,
    )


def write_participants(path: Path, cohort: Cohort, who: Who) -> None:
    """Write who is on every scan of a cohort: `COLUMNS`, as split and train read it.

    An unreadable scan is given a person of its own, with confidence 0, since `split`
    keeps people whole and nobody knows whose it is.

    Args:
        path: a .csv or .tsv file.
        cohort: every scan there is.
        who: who is on those that can be read.

    Raises:
        DataError: if it cannot be told who is who.
    """
    if who.ids is None:
        raise DataError(f"{path}: not written: it cannot be told who is on which scan")
    row_of = {scan: row for row, scan in enumerate(who.paths)}
    text = io.StringIO()
    delimiter = separator_of(path)
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, scan in enumerate(cohort.table["path"], start=1):
        row = row_of.get(scan)
        if row is None:
            writer.writerow([scan, f"unreadable-{number:04}", UNKNOWN, "0"])
            continue
        place, sure = int(who.slices[row]), float(who.confidence[row])
        writer.writerow(
            [
                scan,
                who.ids[row],
                UNKNOWN if place < 0 else place,
                UNKNOWN if np.isnan(sure) else f"{sure:.4f}",
            ]
        )
    write_text(path, text.getvalue())


def separator_of(path: Path) -> str:
    """Return what separates the columns of a table of this name.

    Raises:
        ConfigError: if it is not that of a table.
    """
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise ConfigError(
            f"--write-participants: found {path.name!r}; a name ending in .csv or .tsv "
            "is needed"
        )
    return "," if path.suffix.lower() == ".csv" else "\t"


def _verified(pictures: Pictures, alike: Likenesses) -> Who:
    table = pictures.cohort.table
    ids = tuple(str(one) for one in table["participant_id"])
    sources = Counter(table["participant_source"])
    source = max(SOURCES, key=lambda one: sources[one])
    found = verify(pictures, ids, alike=alike)
    return Who(
        paths=tuple(table["path"]),
        ids=ids,
        source=source,
        how=HowGrouped(None),
        slices=_given_slices(table["slice"]),
        confidence=np.full(len(ids), np.nan),
        merged=_merged(ids, [(one, other) for one, other, _ in found.same_person]),
        contradictions=tuple(_contradictions(table["path"].tolist(), ids, found)),
    )


def _contradictions(
    paths: Sequence[str], ids: Sequence[str], found: Verification
) -> Iterator[Problem]:
    """Yield the ids that the images contradict, each with one of its scans."""
    path_of = dict(zip(reversed(ids), reversed(paths), strict=True))
    for one, other, evidence in found.same_person:
        yield Problem(
            path_of[one], "two ids, one person", f"{one} and {other}: {evidence}"
        )
    for one, evidence in found.mixed:
        yield Problem(path_of[one], "one id, two people", f"{one}: {evidence}")


def _merged(ids: Sequence[str], same: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return the ids, those that are one person under one of their names.

    >>> _merged(["a", "b", "c", "d"], [("c", "b"), ("b", "a")])
    ('a', 'a', 'a', 'd')
    """
    name_of = {one: one for one in ids}
    for one, other in same:
        kept, gone = sorted((name_of[one], name_of[other]))
        name_of = {n: kept if name == gone else name for n, name in name_of.items()}
    return tuple(name_of[one] for one in ids)


def _given_slices(told: pd.Series) -> Int[np.ndarray, " n"]:
    """Return the slice of each scan where a whole number is told, else -1."""
    numbers = pd.to_numeric(told, errors="coerce")
    whole = numbers.where((numbers >= 0) & (numbers == numbers.round()))
    return whole.fillna(-1).to_numpy(dtype=np.int64)
