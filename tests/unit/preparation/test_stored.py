from __future__ import annotations

import json

import pytest

from vit_dementia.errors import CheckpointError
from vit_dementia.preparation.slab import SlabPreprocessing
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.preparation.spec import Preprocessing, preprocessing_from
from vit_dementia.preparation.volumes import VolumePreprocessing

FACTS = '{"pipeline": "fast", "version": 2}'
KINDS: list[Preprocessing] = [
    SlicePreprocessing(size=(32, 48), channels=3, fit="stretch", mean=0.3, std=0.2),
    VolumePreprocessing(size=(8, 9, 10), spacing_mm=4.0, prepared=FACTS, std=0.5),
    SlabPreprocessing(
        size=(32, 48), spacing_mm=2.0, plane="axial", slab_mm=(1.0, 5.0), count=3,
        prepared=FACTS, mean=0.1,
    ),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_every_kind_is_read_back_from_its_file_as_it_was(kind) -> None:
    text = json.dumps(kind.to_dict())
    assert preprocessing_from(json.loads(text)) == kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_a_file_with_more_or_less_in_it_is_refused(kind) -> None:
    told = kind.to_dict()
    for wrong in (told | {"format": 2}, told | {"more": 1}, told | {"size": None}):
        if wrong["size"] is None:
            del wrong["size"]
        with pytest.raises(CheckpointError, match="needs format 1"):
            preprocessing_from(wrong)
