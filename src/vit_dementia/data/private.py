"""A private folder for scans of others, and what a killed process left behind.

A folder belongs to whoever holds the lock beside it; the system lets go of the lock
when the process ends, however it ends. The lock is held before the folder is made.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

_PREFIX: Final = "vit-dementia-private-"


@contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a new folder that nobody else may enter; it goes, whatever happens.

    What processes of this user left that were killed is removed first.
    """
    remove_abandoned()
    folder = Path(tempfile.gettempdir()) / f"{_PREFIX}{secrets.token_hex(8)}"
    try:
        with _lock_of(folder):
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        _lock_file(folder).unlink(missing_ok=True)


def remove_abandoned() -> None:
    """Remove the private folders of this user's processes that run no more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if not _is_ours(folder):
            continue
        with suppress(Timeout, OSError):  # in use, or taken away by another start
            with _lock_of(folder):
                shutil.rmtree(folder, ignore_errors=True)
            _lock_file(folder).unlink(missing_ok=True)


def _is_ours(folder: Path) -> bool:
    """Say whether it is a folder, no link to one, that this user made."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return os.name == "nt" or folder.lstat().st_uid == os.getuid()


def _lock_of(folder: Path) -> FileLock:
    return FileLock(_lock_file(folder), timeout=0, mode=0o600, thread_local=False)


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")
