"""Files that are either whole or not there: written beside, synced, then renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import count, islice
from math import isfinite
from pathlib import Path
from typing import Any

from vit_dementia.errors import DataError
from vit_dementia.limits import LIMITS

# What a disk, or whoever owns it, refuses a writer by.
_CHUNK = 1024**2  # bytes
_MANY = 2000  # files in a folder that holds more than what a command leaves
DISK_FAULTS = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM,
        errno.EIO, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
    }
)  # fmt: skip


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a new name beside ``path``; on success sync it and rename it to ``path``.

    A crash at any moment leaves the old file, or the new one, never a part of either.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path`` that takes its place on success, all of it.

    What stood there goes only then. A crash leaves the old folder or the new one; in
    the instant between two renames the old one is beside it, whole, as ``.old``.
    """
    aside = _new_folder_beside(path)
    try:
        yield aside
        _sync_files(aside)
        _exchange(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    _sync_folder(path.parent)


def _new_folder_beside(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whole, because processes that are kept from earlier work may stand elsewhere.
    aside = path.absolute().with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    aside.mkdir()
    return aside


@contextmanager
def adding_to(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside ``folder``; on success its files stand in that at once.

    A fault or a crash before leaves ``folder`` as it was, and absent if it was; all new
    files are there, or none. Files of other names there stay. Where a folder cannot be
    renamed (a mount, one that we stand in, an open one on Windows) or holds very many
    files, the new ones move in one after the other.
    """
    aside = _new_folder_beside(folder)
    try:
        yield aside
        _sync_files(aside)
        new = sorted(one for one in aside.rglob("*") if one.is_file())
        try:
            _take_along(folder, aside)
            _exchange(aside, folder)
        except OSError:
            for file in new:
                target = folder / file.relative_to(aside)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    _sync_folder(folder)


def _take_along(folder: Path, aside: Path) -> None:
    """Let the files of a folder stand in another one too, by a second name each."""
    if not folder.is_dir():
        return
    inside = list(islice(folder.rglob("*"), _MANY))
    if len(inside) == _MANY or Path.cwd().is_relative_to(folder.resolve()):
        raise OSError(errno.EBUSY, "is not ours alone", str(folder))
    for old in sorted(inside):
        there = aside / old.relative_to(folder)
        if old.is_dir() and not old.is_symlink():
            there.mkdir(exist_ok=True)
        elif not there.exists():
            os.link(old, there, follow_symlinks=False)
    aside.chmod(stat.S_IMODE(folder.stat().st_mode))


def _exchange(new: Path, path: Path) -> None:
    old = new.with_suffix(".old")
    if not path.exists():
        new.replace(path)
        return
    path.replace(old)
    try:
        new.replace(path)
    except OSError:
        old.replace(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sync_files(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb+") as opened:
                os.fsync(opened.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder to sync it
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def take_room(path: Path) -> None:
    """Take room on the disk for every byte of a file that has holes.

    A page of a mapped file that finds no room ends the process (SIGBUS), and nobody can
    be told; this tells it before, as any other writer does.
    """
    size = path.stat().st_size
    with path.open("rb+") as file:
        if hasattr(os, "posix_fallocate"):
            if size:
                os.posix_fallocate(file.fileno(), 0, size)
            return
        for start in range(0, size, _CHUNK):
            file.write(bytes(min(_CHUNK, size - start)))


def disk_fault(error: OSError) -> str | None:
    """Say in a line what a disk, or whoever owns it, refuses; None: another fault.

    >>> print(disk_fault(OSError(errno.EROFS, "", "a")))
    a: cannot be written or read (Read-only file system); needs room and the right
    """
    number = error.errno or 0
    if number not in DISK_FAULTS:
        return None
    where = error.filename or "what was to be written"
    cause = os.strerror(number)
    return f"{where}: cannot be written or read ({cause}); needs room and the right"


def write_text(path: Path, text: str) -> None:
    r"""Write ``text`` as UTF-8 with Unix line ends, whole or not at all.

    What UTF-8 cannot say (a byte in a file's name) is spelled out: ``\udcff``.
    """
    content = text.encode("utf-8", "backslashreplace")
    with replacing(path) as aside:
        aside.write_bytes(content)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content``, whole or not at all."""
    with replacing(path) as aside:
        aside.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON; NaN and infinity are refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_regular(path: Path, *, most_bytes: int | None = None) -> bytes:
    """Return the content of a regular file; a pipe or device is never waited for.

    Args:
        path: the file.
        most_bytes: that are read [default: of one file of settings].

    Raises:
        OSError: if it is missing, no regular file, or larger.
    """
    most = LIMITS.settings_bytes if most_bytes is None else most_bytes
    how = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, how)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)  # Python cannot wrap the descriptor of a folder
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EINVAL, f"at most {most} bytes are read", str(path))
    return content


def read_json(path: Path, error: Callable[[str], Exception] = DataError) -> Any:
    """Read one JSON file; a key that stands twice or a NaN is refused as damage.

    Raises:
        DataError: (or ``error``) if the file is missing, too large or not JSON.
    """
    try:
        content = read_regular(path, most_bytes=LIMITS.json_bytes)
        return parse_json(content.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as cause:
        raise error(f"{path}: cannot be read as JSON ({cause})") from cause


def parse_json(text: str) -> Any:
    """Return what a JSON document says.

    >>> parse_json('{"a": [1, null]}')
    {'a': [1, None]}

    Raises:
        ValueError: also of NaN, of infinity, and of a key that stands twice.
    """
    return json.loads(
        text,
        object_pairs_hook=_object,
        parse_constant=_no_number,
        parse_float=_finite,
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:40]!r} stands twice")
    return told


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    return number if isfinite(number) else _no_number(text[:40])


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """Return a SHA-256 of a JSON value that does not depend on the order of keys.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with its own fingerprint, for ``is_intact`` to find changes.

    One that was sealed before and then changed is sealed anew.

    >>> is_intact(sealed({"a": 1})), is_intact(sealed({"a": 1}) | {"a": 2})
    (True, False)
    >>> is_intact(sealed(sealed({"a": 1}) | {"a": 2}))
    True
    """
    return {**value, "hash": fingerprint(_unsealed(value))}


def is_intact(told: Mapping[str, Any]) -> bool:
    """Say whether a JSON object has the fingerprint it was sealed with, if it was."""
    return "hash" not in told or told["hash"] == fingerprint(_unsealed(told))


def _unsealed(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != "hash"}


def free_run_path(verb: str) -> Path:
    """Return runs/<time>-<verb>, numbered if something is there already."""
    path = Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{verb}"
    names = (path.name if n == 1 else f"{path.name}-{n}" for n in count(1))
    return next(p for p in map(path.with_name, names) if not p.exists())
