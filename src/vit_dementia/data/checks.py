"""What makes a cohort wrong or worth a word: labels, classes, parts, repeats."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from vit_dementia.data.classes import UNKNOWN, name_key
from vit_dementia.data.copies import same_bytes
from vit_dementia.data.gathered import Gathered, some
from vit_dementia.errors import ConfigError, DataError
from vit_dementia.spreadsheets import is_formula

RARE = 20  # times as many scans in the largest class


def relabel(
    gathered: Gathered, label_map: Mapping[str, str], *, keep_unlabelled: bool
) -> None:
    """Rename and merge labels; leave out scans without one unless they are kept.

    Raises:
        ConfigError: if the map names a label that is not there.
    """
    found = sorted(set(gathered.table["label"]) - {UNKNOWN})
    faults = []
    for old in label_map:
        if old not in found:
            near = difflib.get_close_matches(old, found, 1, cutoff=0)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            faults.append(
                f"label map {old}={label_map[old]}: no scan has {old!r}{hint}"
            )
    if faults:
        raise ConfigError.of(faults)
    renamed = [label_map.get(label, label) for label in gathered.table["label"]]
    gathered.table["label"] = pd.Series(renamed, dtype=object)
    unlabelled = gathered.table["label"] == UNKNOWN
    if num := int(unlabelled.sum()):
        fate = "are kept" if keep_unlabelled else "were left out"
        gathered.notes.append(f"{num} scans have no label and {fate}")
        if not keep_unlabelled:
            gathered.table = gathered.table[~unlabelled].reset_index(drop=True)


def check(
    gathered: Gathered,
    classes: Sequence[str],
    *,
    told: bool,
    as_found: bool = False,
    unlabelled: bool = False,
) -> None:
    """Refuse what would make any score wrong; note what a person should know.

    Args:
        gathered: what was read; its notes grow, and repeats are left out of it.
        classes: in order.
        told: whether somebody has named them.
        as_found: leave the scans as they are, and note what is otherwise refused.
        unlabelled: for a training without labels, which needs no classes.

    Raises:
        DataError: with every fault.
    """
    table, where = gathered.table, gathered.labels_named_in
    faults = list(gathered.faults)
    present = set(table["label"]) - {UNKNOWN}
    for label in sorted(present - set(classes)):
        near = difflib.get_close_matches(label, classes, 1, cutoff=0)[0]
        faults.append(
            f"{gathered.root}: found the label {label!r}, which is not among the "
            f"classes {', '.join(classes)}; did you mean {near!r}?"
        )
    if told and (missing := [name for name in classes if name not in present]):
        gathered.notes.append(f"no scan has the label {some(missing)}")
    if len(classes) < 2 and not unlabelled:
        found = f"one class only ({classes[0]!r})" if classes else "no labelled scan"
        if not classes and gathered.why_unlabelled:
            found += f" ({gathered.why_unlabelled})"
        faults.append(f"{gathered.root}: found {found}; two classes are needed")
    faults += _twins(present, where)
    faults += [
        f"the class {name!r} would be computed by a spreadsheet; rename it in {where}"
        for name in sorted(present)
        if is_formula(name)
    ]
    if not told:
        faults += _missing_in_a_part(table, gathered.root)
    if (
        as_found and classes
    ):  # the audit lists repeats and conflicts itself, by their pixels
        gathered.notes += faults
    elif faults := faults + _handle_copies(gathered):
        raise DataError.of(faults)
    _note_two_labels(gathered)
    _note_rare_classes(gathered)


def _twins(labels: set[str], where: str) -> list[str]:
    """Say which class names differ only by case, spaces, ``_`` or ``-``."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for label in sorted(labels):
        spellings[name_key(label)].append(label)
    return [
        f"the classes {' and '.join(map(repr, names))} differ only by case or spaces; "
        f"rename them in {where}, or make them one by --label-map"
        for names in spellings.values()
        if len(names) > 1
    ]


def _missing_in_a_part(table: pd.DataFrame, root: Path) -> list[str]:
    """Say which classes stand in train or in test only."""
    labels_in = {
        part: set(rows["label"]) - {UNKNOWN} for part, rows in table.groupby("split")
    }
    faults = []
    parts = [part for part in ("val", "test") if part in labels_in]
    for part in parts if "train" in labels_in else []:
        faults += [
            f"{root}: {part} has class {label!r}, which train lacks; "
            "a model can only tell classes that it has seen"
            for label in sorted(labels_in[part] - labels_in["train"])
        ]
    if {"train", "test"} <= labels_in.keys():
        faults += [
            f"{root}: train has class {label!r}, which test lacks; "
            "every class is needed in both"
            for label in sorted(labels_in["train"] - labels_in["test"])
        ]
    return faults


def _handle_copies(gathered: Gathered) -> list[str]:
    """Refuse one picture with two labels; leave out repeats that a split could part.

    Where participants are known a repeat does no harm, and a repeat across the parts of
    a split that the data bring is a leak, which is for the leak check to say.
    """
    table = gathered.table
    groups = same_bytes([gathered.root / path for path in table["path"]])
    faults = []
    repeats: list[int] = []
    for group in groups:
        rows = table.iloc[group]
        if rows["label"].nunique() > 1:
            said = [f"{p} ({label})" for p, label in rows[["path", "label"]].to_numpy()]
            faults.append(
                f"{gathered.root}: the same picture has two labels: {some(said)}; "
                "remove it from all but one class"
            )
        elif (rows["participant_id"] == UNKNOWN).all():
            repeats += rows.index[rows.duplicated("split")].tolist()
    if repeats:
        gathered.table = table.drop(index=repeats).reset_index(drop=True)
        gathered.notes.append(
            f"{len(repeats)} pictures that repeat another byte for byte were left out "
            f"({some(list(table['path'].iloc[repeats]))})"
        )
    return faults


def _note_rare_classes(gathered: Gathered) -> None:
    """Warn of classes that are too small to learn beside the others."""
    counts = Counter(gathered.table["label"])
    counts.pop(UNKNOWN, None)
    most = max(counts.values(), default=0)
    gathered.notes += [
        f"class {name!r} has {count} of {counts.total()} scans: expect little of it, "
        "and see --train.balance"
        for name, count in sorted(counts.items())
        if count == 1 or count * RARE < most
    ]


def _note_two_labels(gathered: Gathered) -> None:
    known = gathered.table[gathered.table["participant_id"] != UNKNOWN]
    known = known[known["label"] != UNKNOWN]
    labels = known.groupby("participant_id")["label"].nunique()
    several = sorted(labels.index[labels > 1])
    if several:
        gathered.notes.append(
            f"{len(several)} participants have more than one label ({some(several)})"
        )
    sources = Counter(known["participant_source"])
    if sources:
        said = ", ".join(f"{source} {num}" for source, num in sorted(sources.items()))
        gathered.notes.append(
            f"{known['participant_id'].nunique()} participants (named by: {said} scans)"
        )
