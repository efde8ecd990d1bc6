"""How long work tells how far it is, without knowing whether anybody looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
