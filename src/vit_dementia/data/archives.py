"""Zip archives of strangers, unpacked so that nothing lands outside its folder."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from vit_dementia.errors import DataError
from vit_dementia.limits import LIMITS, Limits

_CHUNK = 1024**2  # bytes


def unpack(archive: Path, to: Path, *, limits: Limits = LIMITS) -> int:
    """Unpack a zip into the new folder ``to``, all of it or nothing; count its files.

    Raises:
        DataError: with every fault: a damaged archive, a member that is a link or
            leads out of the folder, two of one name, too many, too large, or more
            tightly packed than pictures can be.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise DataError(f"{to}: is there already; a new or empty folder is needed")
    to.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{to.name}.", dir=to.parent))
    try:
        with zipfile.ZipFile(archive) as opened:
            listed = opened.infolist()
            members = [one for one in listed if not one.filename.endswith("/")]
            faults = _faults_of(archive, members, limits)
            if faults:
                raise DataError.of(faults)
            left = limits.unpacked_bytes
            for member in members:
                left -= _extract(opened, member, aside, left)
        aside.chmod(0o755)  # mkdtemp lets nobody else in
        if to.exists():
            to.rmdir()  # Windows does not replace a folder
        aside.rename(to)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise DataError(f"{archive}: damaged zip archive ({error})") from error
    except OSError as error:  # no room, no right to write, a file where a folder is due
        raise DataError(f"{archive}: cannot be unpacked ({error.strerror})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return len(members)


def _faults_of(
    archive: Path, members: list[zipfile.ZipInfo], limits: Limits
) -> list[str]:
    """Say what is wrong, by the archive's own list, before anything is written."""
    if len(members) > limits.members:
        return [
            f"{archive}: holds {len(members)} files; at most {limits.members} are taken"
        ]
    faults = []
    unpacked = sum(member.file_size for member in members)
    if unpacked > limits.unpacked_bytes:
        faults.append(
            f"{archive}: claims {unpacked} bytes; at most {limits.unpacked_bytes} are "
            "unpacked"
        )
    elif unpacked > limits.ratio * max(archive.stat().st_size, 1):
        faults.append(
            f"{archive}: claims more than {limits.ratio} times its own size; that is "
            "no archive of pictures"
        )
    seen: set[str] = set()
    for member in members:
        cause = _cause_against(member)
        key = member.filename.casefold()  # one file where case does not count
        if key in seen:
            cause = "stands twice"
        seen.add(key)
        if cause:
            faults.append(f"{archive}: member {member.filename!r} {cause}")
    return faults


def _cause_against(member: zipfile.ZipInfo) -> str:
    name, path = member.filename, PurePosixPath(member.filename)
    if not name:
        return "has no name"
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        return "leads out of the folder"
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link or a device"
    if member.flag_bits & 0x1:
        return "is encrypted"
    return ""


def _extract(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, left: int
) -> int:
    """Write one member and return its size, which the archive may have understated."""
    target = folder / member.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with opened.open(member) as source, target.open("xb") as file:
        while chunk := source.read(_CHUNK):  # to the end, where its checksum is checked
            size += len(chunk)
            if size > left:
                raise DataError(
                    f"{opened.filename}: member {member.filename!r} is larger than it "
                    "claims; too large to unpack"
                )
            file.write(chunk)
    return size
