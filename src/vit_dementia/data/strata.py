"""Who is like whom: groups in an order in which neighbors are alike.

Dealing such an order out, or taking one of every few in a row, spreads sex, site and
age alike over the parts of a split.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.cohort import Cohort
from vit_dementia.errors import ConfigError

STRATIFIED = ("label", "sex", "site")  # columns of few values
MATCHED = ("age",)  # columns of numbers


@dataclass(frozen=True)
class Traits:
    """What a group is like.

    Attributes:
        stratum: its class first (its worst label), then its other columns.
        number: what is matched, its age say; infinite where unknown, 0 if nothing is.
    """

    stratum: tuple[int | str, ...]
    number: float = 0.0


def traits_of(
    cohort: Cohort,
    groups: Sequence[str],
    *,
    stratify: Sequence[str] = ("label",),
    match: Sequence[str] = (),
) -> dict[str, Traits]:
    """Return what every group is like.

    Args:
        cohort: all scans.
        groups: for each scan the id of those that are to stay together.
        stratify: columns of few values, of `STRATIFIED`.
        match: columns of numbers, of `MATCHED`.

    Raises:
        ConfigError: if a column is not of that kind or not known of anybody.
    """
    _check_columns(cohort, stratify, match)
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        rows_of[group].append(row)
    labels = cohort.labels()
    columns = [cohort.table[name].to_numpy() for name in stratify if name != "label"]
    age = cohort.table["age"].to_numpy(dtype=np.float64)
    return {
        group: Traits(
            stratum=(
                int(labels[rows].max()) if "label" in stratify else 0,
                *(_commonest(column[rows]) for column in columns),
            ),
            number=_mean(age[rows]) if match else 0.0,
        )
        for group, rows in rows_of.items()
    }


def in_order(
    groups: Iterable[str], traits: Mapping[str, Traits], salt: str
) -> dict[int, list[str]]:
    """Return the groups of each class, the alike side by side, drawn where nothing is.

    >>> traits = {"a": Traits((0, "F")), "b": Traits((0, "M")), "c": Traits((0, "F"))}
    >>> sorted(in_order("abc", traits, "0")[0][:2])
    ['a', 'c']
    """
    members: dict[int, list[str]] = defaultdict(list)
    for group in groups:
        members[int(traits[group].stratum[0])].append(group)
    return {
        label: sorted(
            members[label],
            key=lambda one: (
                [str(value) for value in traits[one].stratum[1:]],
                traits[one].number,
                draw(one, salt),
            ),
        )
        for label in sorted(members)
    }


def take(
    members: Sequence[str], num: int, traits: Mapping[str, Traits], salt: str
) -> set[str]:
    """Take ``num`` of those in order, one from each of as many runs of alike ones.

    >>> numbers = {one: Traits((0,), float(n)) for n, one in enumerate("abcdef")}
    >>> taken = take("abcdef", 2, numbers, "0")
    >>> len(taken & set("abc")), len(taken & set("def"))
    (1, 1)
    """
    if num == 0 or all(traits[one] == traits[members[0]] for one in members):
        return set(members[:num])  # drawn already: nothing else orders them
    bounds = [round(place * len(members) / num) for place in range(num + 1)]
    return {
        min(members[start:end], key=lambda one: draw(one, salt))
        for start, end in pairwise(bounds)
    }


def deal(
    members: Iterable[Sequence[str]], num: int, traits: Mapping[str, Traits], salt: str
) -> dict[str, int]:
    """Deal everybody out to ``num`` hands, those of each stratum in turn.

    Of ``num`` alike ones in a row each goes to another hand; which one, is drawn.

    >>> alike = {one: Traits((0,)) for one in "abcd"}
    >>> sorted(deal(["abcd"], 2, alike, "0").values())
    [0, 0, 1, 1]
    """
    everybody = [one for some in members for one in some]
    hand_of: dict[str, int] = {}
    for start in range(0, len(everybody), num):
        block = everybody[start : start + num]
        strata: dict[tuple[int | str, ...], list[int]] = defaultdict(list)
        for place, one in enumerate(block):
            strata[traits[one].stratum].append(place)
        for places in strata.values():
            drawn = sorted((block[p] for p in places), key=lambda o: draw(o, salt))
            hand_of |= dict(zip(drawn, places, strict=True))
    return hand_of


def draw(one: str, salt: str) -> str:
    """Return a number, as text, that depends on the id and the salt alone."""
    return hashlib.sha256(f"{salt}/{one}".encode()).hexdigest()


def _check_columns(
    cohort: Cohort, stratify: Sequence[str], match: Sequence[str]
) -> None:
    faults = []
    for flag, names, possible in (
        ("stratify", stratify, STRATIFIED),
        ("match", match, MATCHED),
    ):
        for name in names:
            if name not in possible:
                faults.append(
                    f"{flag} {name}: one or more of {', '.join(possible)} are needed"
                )
            elif cohort.table[name].isin([UNKNOWN, math.nan]).all():
                faults.append(
                    f"{flag} {name}: {cohort.root} has no {name} of anybody; name a "
                    "table that has it by --participants FILE"
                )
    if faults:
        raise ConfigError.of(faults)


def _commonest(values: np.ndarray) -> str:
    known = Counter(str(value) for value in values if value != UNKNOWN)
    return min(known, key=lambda one: (-known[one], one)) if known else UNKNOWN


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.inf
