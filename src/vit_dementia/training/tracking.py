"""The curves in TensorBoard, where it is installed; the local files stay the truth."""

from __future__ import annotations

import threading
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from vit_dementia.training.history import EpochRecord


class Tracker:
    """Writes RUN/tensorboard; does nothing without the ``track`` extra.

    Args:
        folder: the run folder.
        after: finished epochs; curves of a stopped run that lie beyond are dropped.
        writes: False for all processes but the first.
    """

    def __init__(self, folder: Path, *, after: int, writes: bool = True) -> None:
        self._writer: Any = None
        if writes and find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            self._writer = SummaryWriter(folder / "tensorboard", purge_step=after + 1)

    def add(self, record: EpochRecord) -> None:
        """Add a point to every curve."""
        if self._writer is None:
            return
        values = asdict(record)
        epoch = values.pop("epoch")
        for name, value in values.items():
            if value is not None:
                part, _, what = name.partition("_")
                tag = f"{what}/{part}" if part in ("train", "val", "test") else name
                self._writer.add_scalar(tag, value, epoch)
        self._writer.flush()

    def __enter__(self) -> Tracker:
        self._told_before = threading.excepthook
        threading.excepthook = self._tell
        return self

    def _tell(self, args: threading.ExceptHookArgs) -> None:
        """Tell what ended a thread, unless TensorBoard's: that is raised here again."""
        if type(args.thread).__name__ != "_AsyncWriterThread":
            self._told_before(args)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            threading.excepthook = self._told_before
