"""A whole cohort decoded and prepared, before anything is computed on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vit_dementia.data.cache import pack
from vit_dementia.data.cohort import Cohort
from vit_dementia.preparation.spec import (
    Preprocessing,
    rows_of,
    rows_per_scan,
    stored_shape,
)
from vit_dementia.preparation.twins import refuse_two_labels
from vit_dementia.progress import Quiet, Watch


def pack_scans(
    cohort: Cohort,
    preprocessing: Preprocessing,
    *,
    cache: Path | None = None,
    watch: Watch | None = None,
) -> tuple[Cohort, UInt8[np.ndarray, "n c *space"]]:
    """Return the readable part of the cohort and its prepared scans, row by row.

    A volume that is read as slices has a row for each of them, with its number.

    Raises:
        DataError: if too many scans, or all of one class, cannot be read, or if one
            picture has two labels.
    """
    files = cohort.files()
    with (watch or Quiet()).count("reading scans", len(files)) as bar:
        packed = pack(
            files,
            preprocessing.read,
            shape=stored_shape(preprocessing),
            recipe=preprocessing.recipe,
            cache=cache,
            advance=bar.advance,
        )
    readable = cohort
    if packed.causes:
        paths = cohort.table["path"]
        told = [(paths.iloc[row], cause) for row, cause in packed.causes.items()]
        lines = {path: _line(path, cause) for path, cause in told}
        readable = cohort.without(lines)
        for line in lines.values():
            (watch or Quiet()).say(f"left out: {line}")
    refuse_two_labels(readable, packed.images)
    rows = rows_of(preprocessing, packed.images)
    return _with_slices(readable, rows_per_scan(preprocessing)), rows


def _with_slices(cohort: Cohort, count: int) -> Cohort:
    """Return the cohort with a row for each of the slices of its volumes."""
    if count == 1:
        return cohort
    repeated = cohort.select(np.repeat(np.arange(len(cohort)), count))
    numbers = [str(number) for number in range(1, count + 1)] * len(cohort)
    return replace(repeated, table=repeated.table.assign(slice=numbers))


def _line(path: str, cause: str) -> str:
    """Return the cause with the path in front, once."""
    return cause if path in cause else f"{path}: {cause}"
