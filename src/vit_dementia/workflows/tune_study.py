"""The file that keeps the trials of a search, and what its disk refuses."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

# SQLite's own numbers of faults, the lowest byte of each, and the disk's.
_DISK_FAULTS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
}


def open_study(path: Path, epochs: int) -> optuna.Study:
    """Return the study in a file, made on the first call.

    Args:
        path: of the database.
        epochs: of a whole training; one that is behind is stopped from a quarter on.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name="tune",
        storage=f"sqlite:///{path.resolve()}",
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=4, n_warmup_steps=epochs // 4
        ),
        load_if_exists=True,
    )


@contextmanager
def database_faults_raised(path: Path) -> Iterator[None]:
    """Raise an OSError where it was the disk that a database could not write to."""
    import optuna
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (optuna.exceptions.StorageInternalError, DBAPIError) as error:
        number = _disk_fault_in(error)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _disk_fault_in(error: BaseException | None) -> int | None:
    """Return the disk's number of a fault, or of what it came of; None: no disk's."""
    while error is not None:
        if isinstance(error, sqlite3.Error):
            code = getattr(error, "sqlite_errorcode", None)
            return None if code is None else _DISK_FAULTS.get(code & 0xFF)
        error = error.__cause__
    return None
