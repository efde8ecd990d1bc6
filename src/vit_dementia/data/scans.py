"""The scans that a person means when naming files and folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.images import PICTURE_SUFFIXES
from vit_dementia.data.participants import Identity
from vit_dementia.data.records import read_records
from vit_dementia.data.tables import read_table
from vit_dementia.errors import DataError


def scans_in(paths: Iterable[Path]) -> list[Path]:
    """Return named files as they are, and the pictures inside named folders, sorted.

    Raises:
        DataError: with every name that is not there or holds no picture.
    """
    found: list[Path] = []
    faults = []
    for path in paths:
        if path.is_dir():
            inside = sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in PICTURE_SUFFIXES and not file.is_dir()
            )
            if not inside:
                faults.append(f"{path}: holds no picture; needs PNG, JPEG, TIFF …")
            found += inside
        elif path.exists() or path.is_symlink():
            found.append(path)
        else:
            faults.append(f"{path}: is not there; needs a scan or a folder of scans")
    if not faults and not found:
        faults.append("predict: found no scans; needs files or folders")
    if faults:
        raise DataError(*faults)
    return found


def who_is_on(
    scans: Iterable[Path], table: Path, columns: Mapping[str, str]
) -> dict[str, Identity]:
    """Return the participant of every scan that a table names.

    A row belongs to the scan whose path ends with the row's path.

    Args:
        scans: files, wherever they lie.
        table: with the columns ``path`` and ``participant_id``.
        columns: our name of a column to the table's own.

    Raises:
        ManifestError: if the table cannot be read, with every fault.
    """
    cells = read_records(
        read_table(table),
        table.parent,
        columns=columns,
        needed=("path", "participant_id"),
    )
    sessions = cells.get("session_id", [UNKNOWN] * len(cells["path"]))
    known = {
        path: Identity(participant_id=who, session_id=session, source="table")
        for path, who, session in zip(
            cells["path"], cells["participant_id"], sessions, strict=True
        )
    }
    found = {}
    for scan in scans:
        parts = scan.resolve().parts
        endings = ("/".join(parts[start:]) for start in range(1, len(parts)))
        row = next((ending for ending in endings if ending in known), None)
        if row is not None:
            found[str(scan)] = known[row]
    return found
