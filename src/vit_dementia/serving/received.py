"""From the files of one request to the scans that they are, in one private folder.

A name that the sender gave is thrown away: files are numbered, and their kind is told
by their first bytes. Only an archive keeps the names inside it, as a data set may tell
by them who is on which scan; they stay in the folder and never reach an answer.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from vit_dementia.data.archives import unpack
from vit_dementia.data.scans import scans_in, scans_unpacked
from vit_dementia.errors import DataError
from vit_dementia.limits import Limits

PICTURE = ".png"
"""ending of a picture of any kind: its reader looks at the bytes itself"""
_HEADER_SIZES = (348, 540)  # of NIfTI-1 and NIfTI-2, the first number of the file
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"RIFF")
_DICOM_MARK = slice(128, 132)
_NO_ARCHIVE = (
    "the archive cannot be used: damaged, too large, too many files, encrypted, or a "
    "name in it is a link, stands twice or leads out of it; needs a plain zip of scans"
)
_SOME_FILE = "(a file of the request)"
_NO_SCAN = "the archive holds no scan; needs pictures, NIfTI, BIDS or DICOM"


def ending_of(head: bytes) -> str:
    r"""Return the ending of a file's name by its first 132 bytes; "" if of no kind.

    >>> ending_of(b"PK\3\4"), ending_of(b"\x1f\x8b\x08"), ending_of(b"<html>")
    ('.zip', '.nii.gz', '')
    """
    if head.startswith(b"PK\3\4"):
        return ".zip"
    if head.startswith(b"\x1f\x8b"):
        return ".nii.gz"
    if head[_DICOM_MARK] == b"DICM":
        return ".dcm"
    if head.startswith(_PICTURES):
        return PICTURE
    if len(head) >= 4 and any(
        struct.unpack(f"{order}i", head[:4])[0] in _HEADER_SIZES for order in "<>"
    ):
        return ".nii"
    return ""


def scans_of(folder: Path, *, limits: Limits) -> tuple[list[Path], dict[int, str]]:
    """Return the scans among the numbered files of a request, in their order.

    Files of DICOM are one set, whose series are scans; an archive is unpacked, and
    holds scans as a folder on disk would.

    Args:
        folder: with files named by their numbers and nothing else.
        limits: of an archive.

    Returns:
        The scans; and, by number, why a file is none.
    """
    scans: list[Path] = []
    problems: dict[int, str] = {}
    series = folder / "series"
    for file in sorted(folder.iterdir()):
        number = int(file.name)
        with file.open("rb") as opened:
            ending = ending_of(opened.read(_DICOM_MARK.stop))
        if ending == ".zip":
            inside = folder / f"{number}-unpacked"
            try:
                unpack(file, inside, limits=limits)
            except DataError:  # its words name what is inside
                problems[number] = _NO_ARCHIVE
            else:
                try:
                    found = scans_unpacked(inside)
                except DataError:
                    found = []
                scans += found
                if not found:
                    problems[number] = _NO_SCAN
            file.unlink()
        elif ending == ".dcm":
            series.mkdir(exist_ok=True)
            file.rename(series / f"{file.name}.dcm")
        elif ending:
            scans.append(file.rename(folder / f"{file.name}{ending}"))
        else:
            problems[number] = "is no picture, NIfTI, DICOM or zip by its first bytes"
    if series.is_dir():
        scans += scans_in([series])
    return scans, problems


def nameless(cause: str, folder: Path) -> str:
    """Return a cause in which no path below a folder stands.

    Messages begin with the path they are about. The files that are there are known by
    their names; of one that is not, everything up to the next colon may be part.

    >>> nameless("/tmp/a/1.png: damaged PNG file", Path("/tmp/a"))
    'damaged PNG file'
    >>> nameless("a pair; /tmp/a/Doe, Jane.img is needed", Path("/tmp/a"))
    'a pair; (a file of the request)'
    """
    path = re.escape(str(folder)) + r"[^:]*"
    bare = re.sub(rf"^{path}: ?", "", cause)
    for file in sorted(folder.rglob("*"), reverse=True):  # a longer name comes first
        bare = bare.replace(str(file), _SOME_FILE)
    return re.sub(path, _SOME_FILE, bare).strip()
