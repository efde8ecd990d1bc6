"""A disk that is full, read-only or broken, told in one line instead of a traceback."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from vit_dementia.errors import DataError
from vit_dementia.files import DISK_FAULTS

_NUMBER = re.compile(r"os error (\d+)")  # as Rust writes it


@contextmanager
def disk_faults_told(folder: Path, then: str) -> Iterator[None]:
    """Turn what a disk refuses into a DataError.

    Args:
        folder: named where the error names no file.
        then: what to do once the fault is mended.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = _errno(error)
        if number == errno.ENOENT and not (folder / "config.toml").exists():
            raise DataError(
                f"{folder}: is gone, with what was saved in it; needs to stay where it "
                "is until the training ends; begin anew"
            ) from error
        if number not in DISK_FAULTS:
            raise
        where = getattr(error, "filename", None) or folder
        raise DataError(
            f"{where}: cannot be written ({os.strerror(number)}); needs room and the "
            f"right to write; {then}"
        ) from error


def _errno(error: OSError | SafetensorError) -> int:
    """Return the number of the fault; 0 if it is none of a disk."""
    if isinstance(error, OSError):
        return error.errno or 0
    found = _NUMBER.search(str(error))
    return int(found[1]) if found else 0


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run folder against a second training; let go at the latest with death.

    Raises:
        DataError: if a process on this machine trains in it already.
    """
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise DataError(
            f"{folder}: another process trains in this folder; needs it to end first"
        ) from error
    try:
        yield
    finally:
        lock.release()
