"""Ctrl-C and SIGTERM, kept until the place of a run is saved."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from lightning_fabric import Fabric
from torch import Tensor

Asked = Callable[[], int]
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stops_kept() -> Iterator[Asked]:
    """Yield a function that says which signal asked to stop so far; 0 for none.

    A second signal does what it would have done without this. Outside the main thread
    Python allows no handlers, and nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    asked = [0]
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def keep(number: int, _frame: FrameType | None) -> None:
        asked[0] = number
        restore()

    for number in _SIGNALS:
        signal.signal(number, keep)
    try:
        yield lambda: asked[0]
    finally:
        restore()


class Pace:
    """When the place of a run is to be saved, agreed on by all its processes.

    Args:
        fabric: the processes.
        minutes: between two savings.
        asked: says which signal asked to stop.
    """

    def __init__(self, fabric: Fabric, minutes: float, asked: Asked) -> None:
        self._fabric, self._minutes, self._asked = fabric, minutes, asked
        self._saved = time.monotonic()

    def look(self) -> tuple[bool, int]:
        """Return whether saving is due, and the signal that asked to stop, or 0."""
        is_due = time.monotonic() - self._saved > 60 * self._minutes
        said = torch.tensor([float(is_due), float(self._asked())])
        if self._fabric.world_size > 1:
            agreed = self._fabric.all_reduce(said, reduce_op="max")
            assert isinstance(agreed, Tensor)
            said = agreed.cpu()
        due, number = said.tolist()
        return bool(due or number), int(number)

    def begin(self) -> None:
        """Count the minutes from now on."""
        self._saved = time.monotonic()
