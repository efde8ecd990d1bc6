"""What people see, all on stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from vit_dementia.launch import this_launch
from vit_dementia.progress import Bar, Quiet, Watch

_PLAIN_EVERY = 20.0  # seconds between two lines of a bar without a terminal


def escaped(text: str) -> str:
    r"""Return text in which nothing can steer a terminal: names of files are data.

    >>> escaped("a\x1b[31m.png")
    'a\\x1b[31m.png'
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


def say(line: str) -> None:
    """Tell one line, or several if it holds line ends; of many processes, one does."""
    if this_launch().rank:
        return
    for part in line.split("\n"):
        print(escaped(part), file=sys.stderr, flush=True)


def tell_of_pictures() -> None:
    """Warn that what was written shows scans: nobody can tell what stands in pixels."""
    say(
        "note: it shows scans: a face, or text burnt into the pixels, may tell who it "
        "is; look at every picture before you pass it on"
    )


def watch_for_people() -> Watch:
    """Return what shows the progress of a command."""
    if this_launch().rank:
        return Quiet()
    return _RichWatch() if sys.stderr.isatty() else _PlainWatch()


class _PlainWatch:
    """Lines only: for files, pipes and schedulers."""

    def say(self, line: str) -> None:
        say(line)

    @contextmanager
    def count(self, what: str, total: int) -> Iterator[Bar]:
        yield _PlainBar(what, total)


class _PlainBar:
    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._told = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self._done += count
        if time.monotonic() - self._told >= _PLAIN_EVERY:
            self._told = time.monotonic()
            say(f"{self._what}: {self._done} of {self._total} {note}".rstrip())


class _RichWatch:
    """Progress bars with the time left."""

    def say(self, line: str) -> None:
        say(line)

    @contextmanager
    def count(self, what: str, total: int) -> Iterator[Bar]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        with Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        ) as progress:
            task = progress.add_task(what, total=total, note="")

            class _RichBar:
                def advance(self, count: int = 1, note: str = "") -> None:
                    progress.update(task, advance=count, note=note)

            yield _RichBar()
