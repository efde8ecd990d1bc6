"""What readers of files found odd but could read, told once a kind with a count."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from vit_dementia.cli.terminal import say

_READERS = "vit_dementia.data"  # the room whose remarks are about files


class _Remarks(logging.Handler):
    """Counts remarks by their wording and keeps the first of each."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.count: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:  # the caller holds the lock
        wording = str(record.msg)
        self.count[wording] += 1
        self.first.setdefault(wording, record.getMessage())


@contextmanager
def remarks_told() -> Iterator[None]:
    """Tell, when the block ends, what readers remarked in it."""
    log, remarks = logging.getLogger(_READERS), _Remarks()
    level = log.level
    log.addHandler(remarks)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(remarks)
        log.setLevel(level)
        for wording, count in remarks.count.items():
            more = f" ({count} files, this is the first)" if count > 1 else ""
            say(f"note: {remarks.first[wording]}{more}")
