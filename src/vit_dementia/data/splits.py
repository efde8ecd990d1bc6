"""Splits: who trains, who chooses, who is kept for the end. By participant.

Who goes where hangs on a hash of the seed and the id alone: neither the order of files
nor the version of a library changes it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.cohort import Cohort, Unit
from vit_dementia.data.split_file import PARTS, Fold, Split, roles
from vit_dementia.data.strata import Traits, deal, in_order, take, traits_of
from vit_dementia.errors import ConfigError, DataError

__all__ = [
    "Fold",
    "Split",
    "holdout",
    "k_folds",
    "leave_site_out",
    "roles",
    "split_from_cohort",
]


def holdout(
    cohort: Cohort,
    *,
    val: float,
    test: float,
    seed: int,
    unit: Unit | None = None,
    stratify: Sequence[str] = ("label",),
    match: Sequence[str] = (),
    repeats: int = 1,
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
        stratify: what is spread alike over the parts: label, sex, site.
        match: numbers whose distribution is alike in the parts: age.
        repeats: how often to draw anew; each draw is a fold of its own.

    Raises:
        DataError: if a part that was asked for would be empty.
        ConfigError: if a column is unknown.
    """
    _check_shares(val=val, test=test)
    groups = _groups(cohort, unit)
    traits = traits_of(cohort, groups, stratify=stratify, match=match)
    drawn = []
    for salt in _salts(seed, repeats):
        members = in_order(traits, traits, salt)
        role_of = _draw(members, traits, salt, val=val, test=test)
        _refuse_empty(cohort, role_of, groups, {"train": 1.0, "val": val, "test": test})
        drawn.append([role_of[group] for group in groups])
    return _split(cohort, unit, seed, drawn)


def k_folds(
    cohort: Cohort,
    *,
    folds: int,
    val: float,
    seed: int,
    unit: Unit | None = None,
    stratify: Sequence[str] = ("label",),
    match: Sequence[str] = (),
    repeats: int = 1,
) -> Split:
    """Draw folds in which every unit is in test exactly once, classes spread alike.

    Args:
        cohort: what to split.
        folds: how many.
        val: share of those who do not test in a fold.
        seed: of the draw.
        unit: what is never divided; this, ``stratify`` and ``match`` as for `holdout`.
        repeats: how often to draw all folds anew; those of one draw stand together.

    Raises:
        DataError: if there are fewer units than folds or a part would be empty.
        ConfigError: as `holdout`.
    """
    _check_shares(val=val, test=0.0)
    groups = _groups(cohort, unit)
    traits = traits_of(cohort, groups, stratify=stratify, match=match)
    if not 2 <= folds <= len(traits):
        raise DataError(
            f"{cohort.root}: found {folds} folds for {len(traits)} who stay undivided; "
            f"2 to {len(traits)} folds are possible"
        )
    drawn = []
    for salt in _salts(seed, repeats):
        members = in_order(traits, traits, salt)
        fold_of = deal(members.values(), folds, traits, salt)
        tested = [{g for g in traits if fold_of[g] == fold} for fold in range(folds)]
        drawn += _test_each(cohort, groups, traits, tested, val=val, salt=salt)
    return _split(cohort, unit, seed, drawn)


def leave_site_out(
    cohort: Cohort,
    *,
    val: float,
    seed: int,
    unit: Unit | None = None,
    stratify: Sequence[str] = ("label",),
    match: Sequence[str] = (),
) -> Split:
    """Make a fold of each site, whose units test while all others train.

    Whoever was scanned at several sites counts for the one with most of their scans.

    Args:
        cohort: what to split; of every scan the site is known.
        val: share of those who do not test in a fold.
        seed: of the draw of val.
        unit: what is never divided; this, ``stratify`` and ``match`` as for `holdout`.

    Raises:
        DataError: if a site is unknown or there is one only.
        ConfigError: as `holdout`.
    """
    _check_shares(val=val, test=0.0)
    groups = _groups(cohort, unit)
    traits = traits_of(cohort, groups, stratify=stratify, match=match)
    if (lacking := int((cohort.table["site"] == UNKNOWN).sum())) > 0:
        raise DataError(
            f"{cohort.root}: the site of {lacking} of {len(cohort)} scans is unknown; "
            "a table with the column site is needed (--participants FILE)"
        )
    sites = traits_of(cohort, groups, stratify=("site",))
    names = sorted({site.stratum[1] for site in sites.values()}, key=str)
    if len(names) < 2:
        raise DataError(
            f"{cohort.root}: found the site {names[0]!r} only; two sites are needed"
        )
    tested = [{g for g in traits if sites[g].stratum[1] == name} for name in names]
    drawn = _test_each(cohort, groups, traits, tested, val=val, salt=str(seed))
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
        traits = traits_of(trains, groups)
        members = in_order(traits, traits, str(seed))
        role_of = _draw(members, traits, str(seed), val=val, test=0.0)
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


def _salts(seed: int, repeats: int) -> list[str]:
    if repeats < 1:
        raise ConfigError(f"repeats: found {repeats}; 1 or more are needed")
    return [str(seed), *(f"{seed}/repeat/{number}" for number in range(1, repeats))]


def _test_each(
    cohort: Cohort,
    groups: Sequence[str],
    traits: Mapping[str, Traits],
    tested: Sequence[set[str]],
    *,
    val: float,
    salt: str,
) -> list[list[str]]:
    """Return the part of each row in folds that test these groups, one set each."""
    drawn = []
    for fold, test in enumerate(tested):
        # Val is drawn anew in each fold, lest the same few choose in all of them.
        inner = f"{salt}/val/{fold}"
        rest = in_order((g for g in traits if g not in test), traits, inner)
        role_of = dict.fromkeys(test, "test")
        role_of |= _draw(rest, traits, inner, val=val, test=0.0)
        _refuse_empty(cohort, role_of, groups, {"train": 1.0, "val": val, "test": 1.0})
        drawn.append([role_of[group] for group in groups])
    return drawn


def _draw(
    members_of: Mapping[int, Sequence[str]],
    traits: Mapping[str, Traits],
    salt: str,
    *,
    val: float,
    test: float,
) -> dict[str, str]:
    """Give every group its part: of each class some test, some of the rest choose."""
    role_of: dict[str, str] = {}
    for members in members_of.values():
        tested = take(members, _share(test, len(members)), traits, salt)
        rest = [one for one in members if one not in tested]
        chosen = take(rest, _share(val, len(rest)), traits, salt)
        role_of |= dict.fromkeys(members, "train")
        role_of |= dict.fromkeys(tested, "test") | dict.fromkeys(chosen, "val")
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
    there = set(role_of.values())
    empty = [part for part in PARTS if wanted[part] > 0 and part not in there]
    if not empty:
        return
    label_of = dict(zip(groups, cohort.table["label"], strict=True))
    num_of = Counter(label_of.values())
    found = ", ".join(f"{num_of[name]} of {name!r}" for name in cohort.classes)
    raise DataError(
        f"{cohort.root}: nobody is left for {' and '.join(empty)}; found {found}, each "
        "undivided; more participants of one class are needed, or a smaller share"
    )
