"""The preparation that a model folder names, of slices or of volumes.

Both kinds have the same few attributes and methods, so that packing, training and
prediction ask neither what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.preparation.volumes import KIND, VolumePreprocessing

Preprocessing = SlicePreprocessing | VolumePreprocessing


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
    return SlicePreprocessing.from_dict(values)
