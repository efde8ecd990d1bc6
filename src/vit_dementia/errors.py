"""The errors a user can cause, as one small tree.

::

    VitDementiaError
    ├── ConfigError                    setting unknown, of the wrong type, contradictory
    ├── DataError ── ManifestError     a table or split file: file, line and column
    │             ├─ ScanError         one scan: path, what was needed, what was found
    │             │  └─ RefusedError   it can be read, and no model may answer it
    │             └─ LeakageError      who stands on both sides of a split
    ├── CheckpointError                missing piece, other format or other classes
    └── DivergenceError                training left the numbers; names step and files

A message reads *where: what was found; what is needed; what to do*. The command line
prints it as one line a fault and leaves with ``exit_code``; anything that is not a
``VitDementiaError`` is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class VitDementiaError(Exception):
    """Bad input, usage or environment.

    Attributes:
        faults: every fault found, one line each, so that nobody has to mend them
            one attempt at a time.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults: tuple[str, ...] = faults

    @classmethod
    def of(cls, faults: Iterable[str]) -> VitDementiaError:
        r"""Make one error of many faults.

        >>> str(DataError.of(["a.png: empty", "b.png: empty"]))
        'a.png: empty\nb.png: empty'
        """
        return cls(*faults)


class ConfigError(VitDementiaError):
    """A setting is unknown, of the wrong type, or contradicts another."""


class DataError(VitDementiaError):
    """Data on disk are not what is needed."""


class ManifestError(DataError):
    """A table or split file is wrong; names file, line and column."""


class ScanError(DataError):
    """One scan cannot be used; names the path, what was found and what is needed."""


class RefusedError(ScanError):
    """One scan that can be read is refused: bad, or unlike those of the training."""

    exit_code = 3


class LeakageError(DataError):
    """Somebody stands on both sides of a split."""

    exit_code = 3


class DivergenceError(VitDementiaError):
    """Training gave a loss that is no number; names the step and its files."""


class CheckpointError(VitDementiaError):
    """A weight file lacks a piece, is of another format version or of other classes."""


class Interrupted(KeyboardInterrupt):
    """Somebody stopped a run, whose place is saved; says how to go on.

    Not an error: whoever catches those, to go on with something else, must not catch
    this.

    Args:
        place: where it stopped.
        go_on: the command that goes on from there.
        signal: that asked to stop.

    Attributes:
        exit_code: 128 and the number of the signal, as shells have it.
    """

    def __init__(self, place: str, go_on: str, signal: int) -> None:
        super().__init__(f"{place}, which is saved; go on with: {go_on}")
        self.place, self.signal = place, signal
        self.exit_code = 128 + signal

    def by(self, go_on: str) -> Interrupted:
        """Return the same with another command, of the whole that a run is part of.

        >>> str(Interrupted("stopped", "train", 2).by("cross-validate"))
        'stopped, which is saved; go on with: cross-validate'
        """
        return Interrupted(self.place, go_on, self.signal)
