"""The preparation that a model folder names, of slices or of volumes.

All kinds have the same few attributes and methods, so that packing, training and
prediction ask none what it is.

Shapes: ``n`` scans, ``r`` rows that a network reads of them, ``c`` channels, ``s``
channels or slices, ``space`` the sides of a slice or a volume.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vit_dementia.preparation.slab import KIND as SLAB
from vit_dementia.preparation.slab import SlabPreprocessing
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.preparation.volumes import KIND, VolumePreprocessing

Preprocessing = SlicePreprocessing | SlabPreprocessing | VolumePreprocessing


def preprocessing_from(values: Mapping[str, Any]) -> Preprocessing:
    """Read what ``preprocessing.json`` holds.

    >>> made = SlicePreprocessing(size=(32, 48))
    >>> preprocessing_from(made.to_dict()) == made
    True

    Raises:
        CheckpointError: if it is of another format or lacks a value.
    """
    if values.get("input") == KIND:
        return VolumePreprocessing.from_dict(values)
    if values.get("input") == SLAB:
        return SlabPreprocessing.from_dict(values)
    return SlicePreprocessing.from_dict(values)


def stored_shape(preprocessing: Preprocessing) -> tuple[int, ...]:
    """Return the shape of what ``read`` gives for one file.

    >>> stored_shape(SlicePreprocessing(size=(32, 48), channels=3))
    (3, 32, 48)
    """
    if isinstance(preprocessing, SlabPreprocessing):
        return (preprocessing.count, *preprocessing.size)
    return (preprocessing.channels, *preprocessing.size)


def rows_per_scan(preprocessing: Preprocessing) -> int:
    """Return how many rows of a network's input one file gives.

    >>> rows_per_scan(SlicePreprocessing(size=(32, 48)))
    1
    """
    if isinstance(preprocessing, SlabPreprocessing):
        return preprocessing.count
    return 1


def rows_of(
    preprocessing: Preprocessing, stored: UInt8[np.ndarray, "n s *space"]
) -> UInt8[np.ndarray, "r c *space"]:
    """Return what a network reads of stored scans, a row for each slice of a volume."""
    if not isinstance(preprocessing, SlabPreprocessing):
        return stored
    height, width = preprocessing.size
    single = stored.reshape(-1, 1, height, width)
    shape = (len(single), preprocessing.channels, height, width)
    return np.broadcast_to(single, shape)
