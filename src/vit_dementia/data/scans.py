"""The scans that a person means when naming files and folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from vit_dementia.data.bids import is_bids, is_caps, list_bids, list_caps
from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.dicom import dicom_scans, holds_dicom, identity_in, is_dicom
from vit_dementia.data.folders import WRAPPERS, is_clutter
from vit_dementia.data.images import PICTURE_SUFFIXES
from vit_dementia.data.nifti import is_nifti_name
from vit_dementia.data.participants import Identity
from vit_dementia.data.pseudonyms import read_salt
from vit_dementia.data.records import read_records
from vit_dementia.data.tables import read_table
from vit_dementia.errors import DataError, ManifestError

NOTHING = "scans: found none; needs files or folders of them"


def scans_in(paths: Iterable[Path]) -> list[Path]:
    """Return named files as they are, and the scans inside named folders, sorted.

    Of a BIDS data set, of one participant in it, or of Clinica's CAPS, these are the
    T1-weighted volumes. A table (.csv, .tsv) stands for the scans of its column path.

    Raises:
        DataError: with every name that is not there or holds no scan.
        ManifestError: if a table cannot be read, with every fault.
    """
    found: list[Path] = []
    faults: list[str] = []
    for path in paths:
        if path.is_dir():
            inside = _inside(path, faults)
            if not inside:
                faults.append(f"{path}: holds no scan; needs PNG, JPEG, NIfTI …")
            found += inside
        elif is_table(path) and path.is_file():
            cells = read_records(
                read_table(path), path.parent, columns={}, needed=("path",)
            )
            found += [path.parent / scan for scan in cells["path"]]
        elif path.exists() or path.is_symlink():
            found.append(path)
        else:
            faults.append(f"{path}: is not there; needs a scan or a folder of scans")
    if not faults and not found:
        faults.append(NOTHING)
    if faults:
        raise DataError(*faults)
    return found


def scans_unpacked(folder: Path) -> list[Path]:
    """Return the scans in a folder that an archive was unpacked into, sorted.

    Single folders around them are entered; what systems leave behind is passed over.

    Raises:
        DataError: with what makes it unclear which scans are meant.
    """
    start = folder
    for _ in range(WRAPPERS):
        inside = [one for one in start.iterdir() if not is_clutter(one.name)]
        is_wrapper = len(inside) == 1 and inside[0].is_dir()
        if not is_wrapper or start.name.startswith("sub-"):
            break
        start = inside[0]
    faults: list[str] = []
    found = _inside(start, faults)
    if faults:
        raise DataError.of(faults)
    return [
        scan
        for scan in found
        if not any(map(is_clutter, scan.relative_to(folder).parts))
    ]


def is_table(path: Path) -> bool:
    """Say whether a name is that of a table of scans."""
    return path.suffix.lower() in (".csv", ".tsv")


def _inside(folder: Path, faults: list[str]) -> list[Path]:
    """Return the scans in one folder and below it."""
    if is_bids(folder) or is_caps(folder):
        listed = list_caps(folder) if is_caps(folder) else list_bids(folder)
        faults += listed.faults
        return sorted(folder / path for path in listed.paths)
    if folder.name.startswith("sub-"):
        ways = ("anat/*_T1w.nii*", "ses-*/anat/*_T1w.nii*")
        if volumes := [file for way in ways for file in folder.glob(way)]:
            return sorted(volumes)
    if holds_dicom(folder):  # what cannot be used is refused when it is read
        scans, problems = dicom_scans(folder)
        return sorted([*scans, *problems])
    return sorted(
        file
        for file in folder.rglob("*")
        if (file.suffix.lower() in PICTURE_SUFFIXES or is_nifti_name(file.name))
        and not file.is_dir()
    )


def who_is_in_headers(
    scans: Iterable[Path], salt_file: Path | None = None
) -> dict[str, Identity]:
    """Return the pseudonym of whoever a DICOM scan's header names.

    Args:
        scans: files and folders, of any kind.
        salt_file: of the pseudonyms; the user's own if left out.

    Raises:
        DataError: if there are such scans and the salt cannot be read.
    """
    salt: bytes | None = None
    found = {}
    for scan in scans:
        if scan.is_dir() or is_dicom(scan):
            salt = salt or read_salt(salt_file)
            if (who := identity_in(scan, salt)) is not None:
                found[str(scan)] = who
    return found


def who_is_on(
    scans: Iterable[Path],
    table: Path,
    columns: Mapping[str, str],
    *,
    needed: tuple[str, ...] = ("path", "participant_id"),
) -> dict[str, Identity]:
    """Return the participant of every scan that a table names.

    A row belongs to the scan whose path ends with the row's path.

    Args:
        scans: files, wherever they lie.
        table: with the columns ``path`` and ``participant_id``.
        columns: our name of a column to the table's own.
        needed: columns without which the table is refused.

    Raises:
        ManifestError: if the table cannot be read, with every fault.
    """
    source = read_table(table)
    cells = read_records(source, table.parent, columns=columns, needed=needed)
    if "participant_id" not in cells:
        return {}
    sessions = cells.get("session_id", [UNKNOWN] * len(cells["path"]))
    rows = zip(cells["path"], cells["participant_id"], sessions, strict=True)
    known: dict[str, Identity] = {}
    faults = []
    for number, (path, who, session) in enumerate(rows):
        told = Identity(participant_id=who, session_id=session, source="table")
        if known.setdefault(path, told) != told:
            faults.append(
                f"{source.where(number)}: {path!r} stands above with another "
                "participant or visit; one row for a scan is needed"
            )
    if faults:
        raise ManifestError.of(faults)
    found = {}
    for scan in scans:
        parts = scan.resolve().parts
        endings = ("/".join(parts[start:]) for start in range(1, len(parts)))
        row = next((ending for ending in endings if ending in known), None)
        if row is not None:
            found[str(scan)] = known[row]
    return found
