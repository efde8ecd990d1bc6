"""What is in a cohort: files, pictures that repeat, classes and who is in them.

Everything is counted from one look at the scans; nothing is compared in pairs.

Shapes: n scans.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from vit_dementia.audit.pictures import Pictures, Problem
from vit_dementia.data.assembly import is_volume
from vit_dementia.data.classes import UNKNOWN

_SUFFIXES = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "TIFF": (".tif", ".tiff"),
    "WebP": (".webp",),
    "BMP": (".bmp",),
}
_USUAL = 0.9  # share of the scans that makes a size or mode the rule …
_ODD = 0.01  # … and that makes another one an exception
_LEAST_HEAD = 0.01  # share of the square that a head fills at least


@dataclass(frozen=True, kw_only=True)
class ClassCount:
    """How much there is of one class."""

    images: int
    participants: int | None
    """None if it is unknown who is on them"""


@dataclass(frozen=True, kw_only=True)
class People:
    """Age, sex and site of the participants of one class, as far as they are known.

    Attributes:
        num_ages: participants whose age is known.
        age_mean: in years; None if no age is known, as the next three.
        age_sd: standard deviation, in years; None of one participant.
        age_lowest: in years.
        age_highest: in years.
        sexes: participants of each sex.
        sites: participants of each site.
    """

    num_ages: int
    age_mean: float | None
    age_sd: float | None
    age_lowest: float | None
    age_highest: float | None
    sexes: Mapping[str, int]
    sites: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What is in a cohort.

    Attributes:
        formats: images of each format, the commonest first, as the next three.
        modes: images of each kind of pixels.
        sizes: images of each size, as ``height x width``.
        bits: images of each number of bits.
        classes: images and participants of each class.
        people: age, sex and site of each class; nobody if all are unknown.
        exact_groups: paths of scans with the same pixels, two or more in a group.
        label_conflicts: those of them that stand in more than one class.
        problems: files that could not be read, then those that should be looked at.
    """

    formats: Mapping[str, int]
    modes: Mapping[str, int]
    sizes: Mapping[str, int]
    bits: Mapping[str, int]
    classes: Mapping[str, ClassCount]
    people: Mapping[str, People]
    exact_groups: tuple[tuple[str, ...], ...]
    label_conflicts: tuple[tuple[str, ...], ...]
    problems: tuple[Problem, ...]


def take_inventory(
    pictures: Pictures, participant_ids: Sequence[str] | None
) -> Inventory:
    """Count what was seen.

    Args:
        pictures: what was seen of the scans.
        participant_ids: who is on each; None if it cannot be told.
    """
    facts, cohort = pictures.facts, pictures.cohort
    sizes = facts["height"].astype(str) + " x " + facts["width"].astype(str)
    table = cohort.table.reset_index(drop=True)
    ids = None if participant_ids is None else np.array(participant_ids, dtype=object)
    members = {name: (table["label"] == name).to_numpy() for name in cohort.classes}
    exact = exact_groups(pictures.digests)
    paths, labels = table["path"].tolist(), table["label"].tolist()
    return Inventory(
        formats=_counted(facts["format"]),
        modes=_counted(facts["mode"]),
        sizes=_counted(sizes),
        bits=_counted(facts["bits"].astype(str)),
        classes={
            name: ClassCount(
                images=int(mine.sum()),
                participants=None if ids is None else len(set(ids[mine])),
            )
            for name, mine in members.items()
        },
        people={
            name: _people(table[mine], None if ids is None else ids[mine])
            for name, mine in members.items()
        },
        exact_groups=tuple(tuple(paths[row] for row in group) for group in exact),
        label_conflicts=tuple(
            tuple(paths[row] for row in group)
            for group in exact
            if len({labels[row] for row in group} - {UNKNOWN}) > 1
        ),
        problems=(*pictures.problems, *_suspicious(pictures, sizes)),
    )


def exact_groups(digests: Sequence[str]) -> list[list[int]]:
    """Return the rows of each digest that stands there more than once, in order.

    >>> exact_groups(["a", "b", "a", "c", "b"])
    [[0, 2], [1, 4]]
    """
    rows_of: dict[str, list[int]] = {}
    for row, digest in enumerate(digests):
        rows_of.setdefault(digest, []).append(row)
    return [rows for rows in rows_of.values() if len(rows) > 1]


def _counted(values: pd.Series) -> dict[str, int]:
    return {str(value): count for value, count in Counter(values).most_common()}


def _people(rows: pd.DataFrame, ids: np.ndarray | None) -> People:
    """Describe everybody once: by their mean age, and by their first sex and site."""
    whose = np.arange(len(rows)) if ids is None else ids
    ages = rows["age"].astype(np.float64).groupby(whose).mean().dropna()
    return People(
        num_ages=len(ages),
        age_mean=float(ages.mean()) if len(ages) else None,
        age_sd=float(ages.std()) if len(ages) > 1 else None,
        age_lowest=float(ages.min()) if len(ages) else None,
        age_highest=float(ages.max()) if len(ages) else None,
        sexes=_counted_known(rows["sex"], whose),
        sites=_counted_known(rows["site"], whose),
    )


def _counted_known(values: pd.Series, whose: np.ndarray) -> dict[str, int]:
    known = (values != UNKNOWN).to_numpy()
    return _counted(values[known].groupby(whose[known]).first())


def _suspicious(pictures: Pictures, sizes: pd.Series) -> Iterator[Problem]:
    """Yield what can be read but is not like a scan, or not like the other scans."""
    facts, paths = pictures.facts, pictures.cohort.table["path"].tolist()
    lowest = pictures.thumbnails.min(axis=(1, 2))
    blank = lowest == pictures.thumbnails.max(axis=(1, 2))
    for row in np.flatnonzero(blank):
        yield Problem(paths[row], "blank", "every pixel has the same value")
    for row in np.flatnonzero(~blank & (facts["head_area"] < _LEAST_HEAD).to_numpy()):
        yield Problem(paths[row], "no head", "nothing of the size of a head is on it")
    for row, kind in enumerate(facts["format"]):
        name = PurePosixPath(paths[row]).name
        if not is_volume(name) and not name.lower().endswith(_SUFFIXES[kind]):
            yield Problem(
                paths[row], "other format", f"is a {kind} file by its content"
            )
    for kind, values in (("odd size", sizes), ("odd pixels", facts["mode"])):
        usual, odd = _exceptions(values)
        for row in odd:
            detail = f"found {values.iloc[row]}; nearly all others are {usual}"
            yield Problem(paths[row], kind, detail)


def _exceptions(values: pd.Series) -> tuple[str, list[int]]:
    """Return the value that is the rule, and the rows of rare other ones."""
    counts = Counter(values)
    usual, most = counts.most_common(1)[0]
    if most < _USUAL * len(values):
        return str(usual), []
    rare = {value for value, count in counts.items() if count <= _ODD * len(values)}
    return str(usual), [row for row, value in enumerate(values) if value in rare]
