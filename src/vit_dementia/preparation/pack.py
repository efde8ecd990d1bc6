"""A whole cohort decoded and prepared, before anything is computed on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vit_dementia.data.cache import pack
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.images import probe_size, read_slice
from vit_dementia.errors import ScanError
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.progress import Quiet, Watch


def pack_slices(
    cohort: Cohort,
    preprocessing: SlicePreprocessing,
    *,
    cache: Path | None = None,
    watch: Watch | None = None,
) -> tuple[Cohort, UInt8[np.ndarray, "n c h w"]]:
    """Return the readable part of the cohort and its prepared slices, row by row.

    Raises:
        DataError: if too many slices, or all of one class, cannot be read.
    """

    def prepare(path: Path) -> UInt8[np.ndarray, "c h w"]:
        return preprocessing(read_slice(path, channels=preprocessing.channels))

    files = cohort.files()
    with (watch or Quiet()).count("reading scans", len(files)) as bar:
        packed = pack(
            files,
            prepare,
            shape=(preprocessing.channels, *preprocessing.size),
            recipe=[preprocessing.size, preprocessing.channels, preprocessing.fit],
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


def commonest_size(cohort: Cohort, *, patch_size: int) -> tuple[int, int]:
    """Return the commonest height and width, rounded up to whole patches.

    Files whose header cannot be read do not count; they are listed when packed.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    for file in cohort.files():
        try:
            sizes[probe_size(file)] += 1
        except ScanError:
            continue  # pack_slices tells of it, with all others
    if not sizes:
        return (patch_size, patch_size)
    # Of equally common sizes the larger one, so that file order does not decide.
    height, width = max(sizes, key=lambda size: (sizes[size], size))
    return (_rounded_up(height, patch_size), _rounded_up(width, patch_size))


def _rounded_up(side: int, patch_size: int) -> int:
    return -(-side // patch_size) * patch_size
