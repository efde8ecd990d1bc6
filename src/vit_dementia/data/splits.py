"""Splits: who trains, who chooses, who is kept for the end. By participant.

Who goes where hangs on a hash of the seed and the id alone: neither the order of files
nor the version of a library changes it.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.cohort import Cohort, Unit
from vit_dementia.data.split_file import PARTS, Fold, Split, roles
from vit_dementia.errors import ConfigError, DataError

__all__ = ["Fold", "Split", "holdout", "k_folds", "roles", "split_from_cohort"]


def holdout(
    cohort: Cohort, *, val: float, test: float, seed: int, unit: Unit | None = None
) -> Split:
    """Draw one split, every class spread alike over its parts.

    Of a class with two units or more at least one is in test, with three or more one in
    val; a single unit trains. A participant counts for the worst of their labels.

    Args:
        cohort: what to split.
        val: share of those who do not test.
        test: share of all.
        seed: of the draw.
        unit: what is never divided [default: participants; where some are unknown the
            ids are of images, and whoever is known is kept whole all the same].

    Raises:
        DataError: if a part that was asked for would be empty.
    """
    _check_shares(val=val, test=test)
    groups = _groups(cohort, unit)
    role_of = _draw(_strata(cohort, groups, seed), val=val, test=test)
    _refuse_empty(cohort, role_of, groups, {"train": 1.0, "val": val, "test": test})
    return _split(cohort, unit, seed, [[role_of[group] for group in groups]])


def k_folds(
    cohort: Cohort, *, folds: int, val: float, seed: int, unit: Unit | None = None
) -> Split:
    """Draw folds in which every unit is in test exactly once, classes spread alike.

    Args:
        cohort: what to split.
        folds: how many.
        val: share of those who do not test in a fold.
        seed: of the draw.
        unit: what is never divided, as for `holdout`.

    Raises:
        DataError: if there are fewer units than folds or a part would be empty.
    """
    _check_shares(val=val, test=0.0)
    groups = _groups(cohort, unit)
    strata = _strata(cohort, groups, seed)
    dealt = [group for members in strata.values() for group in members]
    if not 2 <= folds <= len(dealt):
        raise DataError(
            f"{cohort.root}: found {folds} folds for {len(dealt)} who stay undivided; "
            f"2 to {len(dealt)} folds are possible"
        )
    fold_of = {group: place % folds for place, group in enumerate(dealt)}
    drawn = []
    for fold in range(folds):
        # Val is drawn anew in each fold, lest the same few choose in all of them.
        rest = {
            label: _shuffled(
                (group for group in members if fold_of[group] != fold),
                f"{seed}/val/{fold}",
            )
            for label, members in strata.items()
        }
        role_of = dict.fromkeys(dealt, "test") | _draw(rest, val=val, test=0.0)
        _refuse_empty(cohort, role_of, groups, {"train": 1.0, "val": val, "test": 1.0})
        drawn.append([role_of[group] for group in groups])
    return _split(cohort, unit, seed, drawn)


def split_from_cohort(cohort: Cohort, *, val: float, seed: int) -> Split:
    """Take the split that the data bring; carve val out of train if they bring none.

    Val is carved by participant as far as participants are known. If somebody stands in
    more than one of the parts as they come, the ids are of images, for the data's split
    does not keep participants whole; `find_leaks` then finds them.

    Raises:
        DataError: if no scan is for training, or nobody can be spared for val.
    """
    _check_shares(val=val)
    role_of_row = ["" if part == UNKNOWN else part for part in cohort.table["split"]]
    if "train" not in role_of_row:
        raise DataError(
            f"{cohort.root}: brings no train part; a folder named train, or a column "
            "named split, is needed"
        )
    if val > 0 and "val" not in role_of_row:
        in_train = [row for row, role in enumerate(role_of_row) if role == "train"]
        trains = cohort.select(in_train)
        groups = _groups(trains, None)
        role_of = _draw(_strata(trains, groups, seed), val=val, test=0.0)
        _refuse_empty(trains, role_of, groups, {"train": 1.0, "val": val, "test": 0.0})
        for row, group in zip(in_train, groups, strict=True):
            role_of_row[row] = role_of[group]
    parts_of: dict[str, set[str]] = defaultdict(set)
    for participant, role in zip(
        cohort.table["participant_id"], role_of_row, strict=True
    ):
        parts_of[participant].add(role)
    whole = all(len(parts) == 1 for parts in parts_of.values())
    return _split(cohort, None if whole else "image", seed, [role_of_row])


def _groups(cohort: Cohort, unit: Unit | None) -> list[str]:
    """Return for each scan the id of those that are to stay together."""
    if unit is not None:
        return cohort.unit_ids(unit)
    ids = zip(cohort.table["participant_id"], cohort.unit_ids("image"), strict=True)
    return [image if who == UNKNOWN else str(who) for who, image in ids]


def _strata(cohort: Cohort, groups: Sequence[str], seed: int) -> dict[int, list[str]]:
    """Return the groups of each class in drawn order; a group's worst label counts."""
    worst: dict[str, int] = {}
    for group, label in zip(groups, cohort.labels().tolist(), strict=True):
        worst[group] = max(worst.get(group, -1), label)
    members: dict[int, list[str]] = defaultdict(list)
    for group, label in worst.items():
        members[label].append(group)
    return {label: _shuffled(members[label], str(seed)) for label in sorted(members)}


def _draw(
    strata: Mapping[int, Sequence[str]], *, val: float, test: float
) -> dict[str, str]:
    """Give every group its part: of each class the first test, the next choose."""
    role_of: dict[str, str] = {}
    for members in strata.values():
        num_test = _share(test, len(members))
        num_val = _share(val, len(members) - num_test)
        role_of |= dict.fromkeys(members, "train")
        role_of |= dict.fromkeys(members[:num_test], "test")
        role_of |= dict.fromkeys(members[num_test : num_test + num_val], "val")
    return role_of


def _split(
    cohort: Cohort, unit: Unit | None, seed: int, folds: Sequence[Sequence[str]]
) -> Split:
    """Make a split of the part of each row in each fold."""
    if unit is None:
        unit = "participant" if cohort.participants_known else "image"
    ids = cohort.unit_ids(unit)
    made = []
    for role_of_row in folds:
        members = {
            part: {
                one for one, role in zip(ids, role_of_row, strict=True) if role == part
            }
            for part in PARTS
        }
        made.append(Fold(**{part: tuple(sorted(members[part])) for part in PARTS}))
    return Split(unit, seed, tuple(made), cohort.fingerprint)


def _shuffled(units: Iterable[str], salt: str) -> list[str]:
    def rank(one: str) -> str:
        return hashlib.sha256(f"{salt}/{one}".encode()).hexdigest()

    return sorted(units, key=rank)


def _share(share: float, num: int) -> int:
    """Return how many of ``num`` a share is: at least one, and at least one is left."""
    if share == 0 or num < 2:
        return 0
    return min(max(1, round(share * num)), num - 1)


def _check_shares(**shares: float) -> None:
    faults = [
        f"{name}: found {share:g}; a share from 0 up to, not including, 1 is needed"
        for name, share in shares.items()
        if not 0 <= share < 1
    ]
    if faults:
        raise ConfigError.of(faults)


def _refuse_empty(
    cohort: Cohort,
    role_of: Mapping[str, str],
    groups: Sequence[str],
    wanted: Mapping[str, float],
) -> None:
    """Refuse a draw that leaves a part empty which was asked for."""
    empty = [
        part for part in PARTS if wanted[part] > 0 and part not in role_of.values()
    ]
    if not empty:
        return
    label_of = dict(zip(groups, cohort.table["label"], strict=True))
    num_of = Counter(label_of.values())
    found = ", ".join(f"{num_of[name]} of {name!r}" for name in cohort.classes)
    raise DataError(
        f"{cohort.root}: nobody is left for {' and '.join(empty)}; found {found}, each "
        "undivided; more participants of one class are needed, or a smaller share"
    )
