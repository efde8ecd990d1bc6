"""A whole cohort decoded and prepared, before anything is computed on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vit_dementia.data.cache import pack
from vit_dementia.data.cohort import Cohort
from vit_dementia.preparation.spec import Preprocessing
from vit_dementia.progress import Quiet, Watch


def pack_scans(
    cohort: Cohort,
    preprocessing: Preprocessing,
    *,
    cache: Path | None = None,
    watch: Watch | None = None,
) -> tuple[Cohort, UInt8[np.ndarray, "n c *space"]]:
    """Return the readable part of the cohort and its prepared scans, row by row.

    Raises:
        DataError: if too many scans, or all of one class, cannot be read.
    """
    files = cohort.files()
    with (watch or Quiet()).count("reading scans", len(files)) as bar:
        packed = pack(
            files,
            preprocessing.read,
            shape=(preprocessing.channels, *preprocessing.size),
            recipe=preprocessing.recipe,
            cache=cache,
            advance=bar.advance,
        )
    if not packed.causes:
        return cohort, packed.images
    paths = cohort.table["path"]
    readable = cohort.without(
        {paths.iloc[row]: _line(paths.iloc[row], c) for row, c in packed.causes.items()}
    )
    return readable, packed.images


def _line(path: str, cause: str) -> str:
    """Return the cause with the path in front, once."""
    return cause if path in cause else f"{path}: {cause}"
