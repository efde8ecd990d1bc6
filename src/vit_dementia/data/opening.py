"""Opening files that somebody else has made: none is waited for, none is too large."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path
from typing import Any, cast

from vit_dementia.errors import ScanError
from vit_dementia.limits import LIMITS


class Deadline:
    """The time that one scan has, from when this is made.

    It is looked at wherever a reader asks for more bytes, in any thread or process, so
    that no decoder goes on for much longer than one block of bytes takes.
    """

    def __init__(self, path: Path, *, seconds: float | None = None) -> None:
        """Begin to count.

        Args:
            path: of the scan, for the message.
            seconds: that it has [default: of the limits].
        """
        self._path = path
        self._seconds = LIMITS.decoding_seconds if seconds is None else seconds
        self._end = time.monotonic() + self._seconds

    def check(self) -> None:
        """Pass while there is time left.

        Raises:
            ScanError: if it is over.
        """
        if time.monotonic() > self._end:
            raise ScanError(
                f"{self._path}: takes longer to read than {self._seconds:g} seconds; a "
                "scan may not (--limits.decoding-seconds)"
            )


class TimedBytes(BytesIO):
    """Bytes in memory that are given out until a deadline."""

    def __init__(self, content: bytes, deadline: Deadline) -> None:
        """Take the bytes."""
        super().__init__(content)
        self._deadline = deadline

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, if there is time."""
        self._deadline.check()
        return super().read(size)


class _TimedFile(FileIO):
    """A file that is read until a deadline."""

    def __init__(self, descriptor: int, deadline: Deadline) -> None:
        super().__init__(descriptor, "rb")
        self._deadline = deadline

    def readinto(self, buffer: Any, /) -> int:
        self._deadline.check()
        return super().readinto(buffer)

    def readall(self) -> bytes:
        self._deadline.check()
        return super().readall()


@contextmanager
def opened(
    path: Path, *, most_bytes: int, needed: str, deadline: Deadline | None = None
) -> Iterator[BufferedReader]:
    """Open a regular file; a named pipe or device is refused and never waited for.

    Args:
        path: the file.
        most_bytes: on disk.
        needed: what kind of file, for the message.
        deadline: until which it is read [default: that of a scan, from now].

    Raises:
        ScanError: if it is missing, empty, too large or no regular file; and while it
            is read, if that takes too long.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ScanError(f"{path}: its name is not UTF-8; rename it") from error
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
    timed = _TimedFile(descriptor, deadline or Deadline(path))
    with BufferedReader(timed) as file:
        if status.st_size == 0:
            raise ScanError(f"{path}: is empty (0 bytes)")
        if status.st_size > most_bytes:
            raise ScanError(
                f"{path}: {status.st_size} bytes on disk; at most {most_bytes} are read"
            )
        yield cast("BufferedReader", file)
