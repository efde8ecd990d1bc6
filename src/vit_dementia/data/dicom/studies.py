"""The scans of a folder of DICOM files: one for each study of each person."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from vit_dementia.data.dicom.choosing import choose, series_in
from vit_dementia.data.dicom.datasets import is_dicom
from vit_dementia.data.dicom.headers import Header, read_header
from vit_dementia.data.images import PICTURE_SUFFIXES
from vit_dementia.data.nifti import is_nifti_name
from vit_dementia.data.participants import Identity, canonical_participant
from vit_dementia.data.pseudonyms import pseudonym
from vit_dementia.errors import ScanError
from vit_dementia.limits import LIMITS, Limits


def holds_dicom(folder: Path, *, limits: Limits = LIMITS) -> bool:
    """Say whether DICOM files lie below a folder, and no other scans before them."""
    for number, file in enumerate(_files(folder)):
        is_other = file.suffix.lower() in PICTURE_SUFFIXES or is_nifti_name(file.name)
        if is_other or number > limits.looked_at:
            return False
        if is_dicom(file):
            return True
    return False


def dicom_scans(
    folder: Path, *, limits: Limits = LIMITS
) -> tuple[dict[Path, Header], dict[Path, str]]:
    """Return the path of every study's T1-weighted series, with one of its headers.

    A path is the folder of the series' files if nothing else lies in it, else its first
    file.

    Returns:
        Scans; and what is wrong with each study, or file, that cannot be used.

    Raises:
        ScanError: if the folder holds more files than the limit.
    """
    studies: dict[tuple[str, str], list[Header]] = defaultdict(list)
    in_folder: dict[Path, set[tuple[str, str, str]]] = defaultdict(set)
    problems: dict[Path, str] = {}
    for number, file in enumerate(_files(folder)):
        if number > limits.entries:
            raise ScanError(f"{folder}: holds more than {limits.entries} files")
        if not is_dicom(file):
            continue
        try:
            header = read_header(file, limits=limits)
        except ScanError as error:
            problems[file] = str(error)
            continue
        studies[header.person, header.study].append(header)
        in_folder[file.parent].add((header.person, header.study, header.series))
    found: dict[Path, Header] = {}
    for headers in studies.values():
        where = Path(os.path.commonpath([header.path.parent for header in headers]))
        try:
            series, _ = choose(where, series_in(headers))
        except ScanError as error:
            problems[where] = str(error)
            continue
        first = series.first
        alone = len(in_folder[first.path.parent]) == 1
        found[first.path.parent if alone else first.path] = first
    return found, problems


def identity_of(header: Header, salt: bytes) -> Identity:
    """Return pseudonyms of the person and the study in a header.

    Args:
        header: of any file of a scan.
        salt: of the pseudonyms, see ``data.pseudonyms``.
    """
    return Identity(
        participant_id=pseudonym_of(header.patient_id, salt),
        session_id=pseudonym("", header.study, salt),
        source="header",
    )


def identity_in(path: Path, salt: bytes) -> Identity | None:
    """Return the same for a folder of DICOM files, or one of them; None if unread."""
    files = _files(path) if path.is_dir() else iter([path])
    for file in files:
        if is_dicom(file):
            try:
                return identity_of(read_header(file), salt)
            except ScanError:  # reading the scan will say what is wrong
                return None
    return None


def pseudonym_of(patient_id: str, salt: bytes) -> str:
    """Return the pseudonym of a participant, the same for all spellings of an id."""
    return pseudonym("sub-", canonical_participant(patient_id), salt)


def _files(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name != "DICOMDIR":
                yield Path(here, name)
