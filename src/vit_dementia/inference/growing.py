"""The tables of a prediction while it goes on: whole and true at every moment.

After each batch they are written anew, as for the scans answered so far: an answer for
a participant may change with the next scan of theirs, so that lines cannot only be
added. Where that takes long, because there are very many scans, it is done less often.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from vit_dementia.inference.answer import Answer

_LONG = 1.0  # seconds that one writing may always take
_SHARE = 0.1  # of the time, at most, where it takes longer


class GrowingTables:
    """Writes the answer so far into a folder, as ``Predictor`` calls it.

    Args:
        folder: of the tables; may be new.
        clock: seconds.
    """

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder, self._clock = folder, clock
        self._due = clock()

    def __call__(self, so_far: Callable[[], Answer]) -> None:
        """Write the tables, if it is time to; none before the first answer."""
        begun = self._clock()
        if begun < self._due:
            return
        answer = so_far()
        if len(answer.predictions.table):
            answer.write(self._folder)
        ended = self._clock()
        took = ended - begun
        self._due = ended + (took / _SHARE if took > _LONG else 0.0)
