"""What a table that somebody brings says of scans, by their paths or their people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from vit_dementia.data.classes import UNKNOWN, is_unknown
from vit_dementia.data.diagnosis import people_table, tell
from vit_dementia.data.gathered import Gathered, some
from vit_dementia.data.records import read_records
from vit_dementia.data.storage import frame
from vit_dementia.data.tables import read_table
from vit_dementia.errors import DataError

_GUESSED = "confidence"  # a column of what `check --write-participants` writes


def join_paths(
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


def join_people(
    gathered: Gathered,
    path: Path,
    columns: Mapping[str, str],
    *,
    believe_labels: bool,
    alias: Callable[[str], str] | None = None,
) -> None:
    """Take what a table says of people, or of their visits, whatever the paths.

    Args:
        gathered: the scans, with who is on them.
        path: of the table.
        columns: our name of a column to the table's own.
        believe_labels: rather than those that the folders tell.
        alias: from the table's ids to those of the scans, if these are pseudonyms.
    """
    table = gathered.table
    known = people_table(path, columns)
    people, visits = table["participant_id"].tolist(), table["session_id"].tolist()
    if alias is not None:
        rows_of = {alias(who): rows for who, rows in known.rows_of.items()}
        known = replace(known, rows_of=rows_of)
        visits = [UNKNOWN] * len(visits)  # of a header no table knows the visit
    told, num_near = tell([known], people, visits)
    if not believe_labels and (table["label"] != UNKNOWN).any():
        told.pop("label", None)  # the folders, or the data set's tables, are believed
    found = frame({"path": table["path"].tolist()} | told)
    for name in told:
        table[name] = found[name]
    if believe_labels:
        gathered.labels_named_in = str(path)
    lacking = sorted({who for who in people if who not in known.rows_of} - {UNKNOWN})
    if lacking:
        gathered.notes.append(
            f"{path.name} has no row for {len(lacking)} participants ({some(lacking)})"
        )
    note_near(gathered, num_near)


def note_near(gathered: Gathered, num_near: int) -> None:
    """Say of how many scans the label is that of a visit near by."""
    if num_near:
        gathered.notes.append(
            f"{num_near} scans have the label of the nearest clinical visit, at most a "
            "year away"
        )


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
