"""From folders and tables to the rows of a cohort."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from vit_dementia.data.classes import UNKNOWN, is_unknown
from vit_dementia.data.folders import list_folders
from vit_dementia.data.images import PICTURE_SUFFIXES
from vit_dementia.data.participants import identify
from vit_dementia.data.records import check_names, read_records
from vit_dementia.data.storage import frame, read_facts
from vit_dementia.data.tables import TABLE_SUFFIXES, read_table
from vit_dementia.errors import ConfigError, DataError

_FIRST = 5  # examples in a message about many
_GUESSED = "confidence"  # a column of what `check --write-participants` writes


@dataclass(kw_only=True)
class Gathered:
    """Rows on their way to a cohort."""

    root: Path
    table: pd.DataFrame
    labels_named_in: str  # where a fault in a label is to be mended
    classes: tuple[str, ...] | None = None  # told by a cohort.json
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


def gather(
    path: Path,
    *,
    participants: Path | None,
    columns: Mapping[str, str],
    labels_from_table: bool,
) -> Gathered:
    """List the scans at ``path`` and say who is on them.

    Raises:
        DataError: if there is nothing of that kind, or with the faults of a table.
    """
    check_names(columns)
    path = path.expanduser()
    if not path.exists():
        raise DataError(f"{path}: does not exist; a folder or a table is needed")
    listing = path / "cohort.tsv" if path.is_dir() else path
    if listing.is_file():
        gathered = _from_table(listing, {} if participants else columns)
    elif (columns or labels_from_table) and participants is None:
        names = ", ".join(f"{ours}={theirs}" for ours, theirs in columns.items())
        raise ConfigError(
            f"columns {names}: {path} has no table; name one by --participants FILE"
        )
    else:
        gathered = _from_folders(path)
    if participants is not None:
        _join(gathered, participants, columns, believe_labels=labels_from_table)
    _name_participants(gathered)
    gathered.table = gathered.table.sort_values("path", ignore_index=True)
    return gathered


def _from_folders(root: Path) -> Gathered:
    listed = list_folders(root)
    cells = {"path": listed.paths, "label": listed.labels, "split": listed.splits}
    return Gathered(
        root=root,
        table=frame(cells),
        labels_named_in="the folders",
        faults=listed.faults,
        problems=listed.problems,
        notes=listed.notes,
    )


def _from_table(path: Path, columns: Mapping[str, str]) -> Gathered:
    if path.suffix.lower() not in TABLE_SUFFIXES:
        what = "a picture" if path.suffix.lower() in PICTURE_SUFFIXES else "a file"
        raise DataError(f"{path}: is {what}; a folder or a .csv or .tsv is needed")
    facts = path.with_suffix(".json") if path.name == "cohort.tsv" else None
    known = read_facts(facts) if facts is not None and facts.is_file() else None
    root = Path(os.path.normpath(path.parent / (known["root"] if known else ".")))
    source = read_table(path)
    cells = read_records(source, root, columns=columns, needed=("path", "label"))
    if not cells["path"]:
        raise DataError(f"{path}: has no rows; paths and labels are needed")
    first_of: dict[str, int] = {}
    faults, problems, kept = [], [], []
    for row, name in enumerate(cells["path"]):
        if (first := first_of.setdefault(name, row)) != row:
            faults.append(
                f"{source.where(row)}: {name!r} stands in line {source.lines[first]} "
                "already; one row for a scan is needed"
            )
        elif not (root / name).exists():
            problems.append(f"{source.where(row)}: {name!r} does not exist")
        else:
            kept.append(row)
    if faults:
        raise DataError.of(faults)
    return Gathered(
        root=root,
        table=frame(cells).iloc[kept].reset_index(drop=True),
        labels_named_in=str(path),
        classes=tuple(known["classes"]) if known else None,
        problems=problems,
    )


def _join(
    gathered: Gathered,
    path: Path,
    columns: Mapping[str, str],
    *,
    believe_labels: bool,
) -> None:
    """Take participants, and what else is known, from a table with the same paths."""
    source = read_table(path)
    needed = ("path", "participant_id")
    cells = read_records(source, gathered.root, columns=columns, needed=needed)
    row_of: dict[str, int] = {}
    faults = []
    for row, name in enumerate(cells["path"]):
        if (first := row_of.setdefault(name, row)) != row:
            faults.append(
                f"{source.where(row)}: {name!r} stands in line {source.lines[first]} "
                "already; one row for a scan is needed"
            )
    table = gathered.table
    lacking = [name for name in table["path"] if name not in row_of]
    if lacking:
        faults.append(
            f"{path}: has no row for {len(lacking)} of {len(table)} scans "
            f"({some(lacking)}); paths relative to {gathered.root} are needed"
            + (f", found {cells['path'][0]!r}" if cells["path"] else "")
        )
    if faults:
        raise DataError.of(faults)
    rows = [row_of[name] for name in table["path"]]
    if (unused := len(row_of) - len(rows)) > 0:
        gathered.notes.append(f"{unused} rows of {path.name} name no scan that is here")
    found = frame(cells).iloc[rows].reset_index(drop=True)
    if "label" in columns and not believe_labels:
        _compare_labels(table, found["label"], path)
    for name in cells.keys() - {"path"}:
        if name == "label" and not believe_labels:
            continue  # the folders are believed
        if name == "split" and "split" not in columns:
            continue  # likewise, unless it was asked for
        table[name] = found[name]
    if "participant_source" not in cells and _GUESSED in source.header:
        sure = source.column(_GUESSED)
        guessed = [not is_unknown(sure[row]) for row in rows]
        table.loc[guessed, "participant_source"] = "image-content"
    if believe_labels:
        gathered.labels_named_in = str(path)


def _compare_labels(
    table: pd.DataFrame, told: pd.Series[str], participants: Path
) -> None:
    """Refuse a table whose labels are not those of the folders."""
    other = [
        f"{path} is {in_folder!r} by its folder, {in_table!r} in {participants.name}"
        for path, in_folder, in_table in zip(
            table["path"], table["label"], told, strict=True
        )
        if in_folder != in_table
    ]
    if other:
        raise DataError(
            f"{participants}: {len(other)} labels contradict the folders ({other[0]}); "
            "name the column by --label-column to believe the table"
        )


def _name_participants(gathered: Gathered) -> None:
    """Read from names who is on a scan where no table tells."""
    table = gathered.table
    columns = ["participant_id", "session_id", "participant_source"]
    filled: list[tuple[str, str, str]] = []
    for path, participant, session, source in table[["path", *columns]].itertuples(
        index=False, name=None
    ):
        if participant != UNKNOWN:
            told = (
                source if source in {"bids", "filename", "image-content"} else "table"
            )
            filled.append((participant, session, told))
            continue
        who = identify(path)
        visit = who.session_id if session == UNKNOWN else session
        filled.append((who.participant_id, visit, who.source))
    for column, values in zip(columns, zip(*filled, strict=True), strict=False):
        table[column] = pd.Series(values, dtype=object)
    num = int((table["participant_id"] == UNKNOWN).sum())
    if num:
        gathered.notes.append(
            f"the participant of {num} of {len(table)} scans is unknown"
        )
