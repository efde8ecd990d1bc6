"""The columns of a cohort, filled from the columns of somebody's table."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from vit_dementia.data.classes import UNKNOWN, is_unknown
from vit_dementia.data.participants import (
    SOURCES,
    canonical_participant,
    canonical_session,
)
from vit_dementia.data.tables import Table
from vit_dementia.errors import ConfigError, ManifestError
from vit_dementia.spreadsheets import is_formula

COLUMNS = (
    "path",
    "participant_id",
    "session_id",
    "slice",
    "label",
    "split",
    "age",
    "sex",
    "site",
    "participant_source",
)
ROLE_OF: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_SEX = {"m": "M", "male": "M", "man": "M", "f": "F", "female": "F", "woman": "F"}
_OLDEST = 130.0  # years; above it is a slip of the pen

Cells = dict[str, list[str]]


def read_records(
    table: Table,
    root: Path,
    *,
    columns: Mapping[str, str],
    needed: Sequence[str],
) -> Cells:
    """Return the cohort's columns that a table has, each cell checked and normalized.

    Args:
        table: what was read.
        root: the folder to which its paths are relative.
        columns: our name of a column to the table's own.
        needed: our names that must be there.

    Raises:
        ManifestError: with every fault and its line.
    """
    name_of = {ours: ours for ours in COLUMNS if ours in table.header} | dict(columns)
    faults = _faults_of_mapping(table, name_of, columns, needed)
    if faults:
        raise ManifestError.of(faults)
    cells: Cells = {}
    found: list[tuple[int, str]] = []
    for ours, theirs in name_of.items():
        cells[ours] = []
        for row, cell in enumerate(table.column(theirs)):
            try:
                value = _path(cell, root) if ours == "path" else _fact(ours, cell)
            except ValueError as error:
                found.append((row, f"column {theirs!r}: {error}"))
                value = UNKNOWN
            cells[ours].append(value)
    if found:
        in_order = sorted(found, key=lambda fault: fault[0])
        raise ManifestError.of(f"{table.where(row)}, {said}" for row, said in in_order)
    return cells


def check_names(columns: Mapping[str, str]) -> None:
    """Refuse a column mapping onto names that a cohort does not have.

    Raises:
        ConfigError: naming the nearest valid name.
    """
    faults = []
    for ours, theirs in columns.items():
        if ours not in COLUMNS:
            near = difflib.get_close_matches(ours, COLUMNS, 1, cutoff=0)[0]
            faults.append(
                f"columns {ours}={theirs}: {ours!r} is not a column of a cohort; "
                f"did you mean {near!r}?"
            )
    if faults:
        raise ConfigError.of(faults)


def _faults_of_mapping(
    table: Table,
    name_of: Mapping[str, str],
    columns: Mapping[str, str],
    needed: Sequence[str],
) -> list[str]:
    has = ", ".join(table.header)
    faults = [
        f"{table.path}: has no column {theirs!r} for {ours}; it has: {has}"
        for ours, theirs in columns.items()
        if theirs not in table.header
    ]
    faults += [
        f"{table.path}: has no column {ours!r}; it has: {has}; "
        f"name yours by --columns {ours}=…"
        for ours in needed
        if ours not in name_of
    ]
    return faults


def _fact(ours: str, cell: str) -> str:
    """Return a cell that is no path; a formula in it would run in a spreadsheet."""
    value = _PARSERS[ours](cell)
    if is_formula(value):
        raise ValueError(
            f"found {value!r}, which a spreadsheet would compute; plain text is needed"
        )
    return value


def _path(cell: str, root: Path) -> str:
    """Return a path relative to ``root`` with ``/``; it may not lead out of it."""
    if not cell.strip():
        raise ValueError("is empty; a path is needed")
    if "\\" in cell and not (root / cell).exists():
        cell = cell.replace("\\", "/")  # written on Windows
    path = PurePosixPath(cell)
    if ".." in path.parts:
        raise ValueError(f"{cell!r} leads upwards; a path below {root} is needed")
    if path.is_absolute() or Path(cell).is_absolute():
        try:
            path = PurePosixPath(Path(cell).relative_to(root.absolute()).as_posix())
        except ValueError:
            raise ValueError(
                f"{cell!r} lies elsewhere; a path relative to {root} is needed"
            ) from None
    return str(path)


def _split(cell: str) -> str:
    if is_unknown(cell):
        return UNKNOWN
    role = ROLE_OF.get(cell.strip().casefold())
    if role is None:
        raise ValueError(f"found {cell!r}; train, val or test is needed")
    return role


def _age(cell: str) -> str:
    if is_unknown(cell):
        return UNKNOWN
    capped = re.fullmatch(r"(\d+)\+", cell.strip(), re.ASCII)  # 89+, for privacy
    try:
        years = float(capped[1] if capped else cell)
    except ValueError:
        raise ValueError(f"found {cell!r}; a number of years is needed") from None
    if not 0 <= years <= _OLDEST:
        raise ValueError(f"found {cell!r}; 0 to {_OLDEST:g} years are possible")
    return f"{years:g}"


def _sex(cell: str) -> str:
    return _SEX.get(cell.strip().casefold(), _text(cell))


def _source(cell: str) -> str:
    if cell not in SOURCES:
        raise ValueError(f"found {cell!r}; one of {', '.join(SOURCES)} is needed")
    return cell


def _text(cell: str) -> str:
    return UNKNOWN if is_unknown(cell) else cell.strip()


_PARSERS: Mapping[str, Callable[[str], str]] = {
    "participant_id": canonical_participant,
    "session_id": canonical_session,
    "slice": _text,
    "label": _text,
    "split": _split,
    "age": _age,
    "sex": _sex,
    "site": _text,
    "participant_source": _source,
}
