"""Arrays that cost minutes to compute, kept in the cache by the name of their content.

An entry is written beside and renamed, so that two runs at once or a crash leave a
whole one or none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vit_dementia.data.cache import default_cache, make_private, mapped
from vit_dementia.files import replacing, write_json


def kept_array(
    key: str,
    shape: tuple[int, ...],
    dtype: type[np.generic],
    fill: Callable[[np.ndarray], None],
    *,
    cache: Path | None = None,
) -> np.ndarray:
    """Return the array of this name, memory-mapped; ``fill`` writes it if it is new.

    Args:
        key: of everything the content depends on.
        shape: of the array.
        dtype: of its numbers.
        fill: writes every number of the array it is given.
        cache: folder; the user's own if left out.
    """
    folder = cache or default_cache()
    make_private(folder)
    data = folder / f"{key[:32]}.npy"
    if not data.with_suffix(".json").exists():
        with replacing(data) as aside:
            array = mapped(aside, dtype, shape)
            fill(array)
            array.flush()
            del array  # Windows renames no file that is mapped
        write_json(data.with_suffix(".json"), {"rows": shape[0], "causes": []})
    return np.load(data, mmap_mode="r", allow_pickle=False)


def digest(array: np.ndarray) -> str:
    """Return a hash of the numbers, whatever their shape.

    >>> digest(np.zeros(2)) == digest(np.zeros((1, 2))), digest(np.zeros(2))[:6]
    (True, '374708')
    """
    return hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data).hexdigest()
