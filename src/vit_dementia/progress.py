"""How long work tells how far it is, without knowing whether anybody looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable  # the tests check types while they run
@runtime_checkable
class Bar(Protocol):
    """One progress bar."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """Move on by ``count``; ``note`` is shown beside the bar."""


@runtime_checkable
@runtime_checkable
class Watch(Protocol):
    """Somebody who is told what goes on; the command line shows it on stderr."""

    def say(self, line: str) -> None:
        """Tell one line."""

    @contextmanager
    def count(self, what: str, total: int) -> Iterator[Bar]:
        """Show a bar named ``what`` that fills up at ``total``."""
        ...


class _StillBar:
    def advance(self, count: int = 1, note: str = "") -> None:
        """Do nothing."""


class Quiet:
    """A watch that shows nothing: the default of the Python interface."""

    def say(self, line: str) -> None:
        """Do nothing."""

    @contextmanager
    def count(self, what: str, total: int) -> Iterator[Bar]:  # noqa: ARG002  # a protocol
        """Show nothing."""
        yield _StillBar()


class Logged:
    """A watch whose lines are also kept in a file: the ``log.txt`` of a run."""

    def __init__(self, watch: Watch, file: Path) -> None:
        self._watch, self._file = watch, file

    def say(self, line: str) -> None:
        """Tell one line to both."""
        self._watch.say(line)
        with self._file.open("a", encoding="utf-8", newline="\n") as log:
            log.write(f"{datetime.now().isoformat(timespec='seconds')} {line}\n")

    @contextmanager
    def count(self, what: str, total: int) -> Iterator[Bar]:
        """Show the bar; a file needs none."""
        with self._watch.count(what, total) as bar:
            yield bar
