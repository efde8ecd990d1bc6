"""Opening files that somebody else has made: none is waited for, none is too large."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from vit_dementia.errors import ScanError


@contextmanager
def opened(path: Path, *, most_bytes: int, needed: str) -> Iterator[BufferedReader]:
    """Open a regular file; a named pipe or device is refused and never waited for.

    Args:
        path: the file.
        most_bytes: on disk.
        needed: what kind of file, for the message.

    Raises:
        ScanError: if it is missing, empty, too large or no regular file.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise ScanError(f"{shown}: its name is not UTF-8; rename it") from error
    try:
        descriptor = os.open(
            path,
            os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0),
        )
    except OSError as error:
        cause = error.strerror or str(error)
        raise ScanError(f"{path}: cannot be opened ({cause})") from error
    except ValueError as error:  # a NUL in the name
        raise ScanError(f"{path!r}: is not a file name ({error})") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)  # Python cannot wrap the descriptor of a folder
        raise ScanError(f"{path}: is not a regular file; {needed} is needed")
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size == 0:
            raise ScanError(f"{path}: is empty (0 bytes)")
        if status.st_size > most_bytes:
            raise ScanError(
                f"{path}: {status.st_size} bytes on disk; at most {most_bytes} are read"
            )
        yield file
