"""The commonest size of a cohort."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vit_dementia.config import DataConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.errors import ConfigError, ScanError
from vit_dementia.preparation.fitting import (
    commonest_grid,
    commonest_size,
    preprocessing_for,
)
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.preparation.volumes import VolumePreprocessing


def _slices(folder, sizes) -> Cohort:
    for number, (height, width) in enumerate(sizes):
        label = folder / ("CN", "AD")[number % 2]
        label.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(1, 255, (height, width))
        file = label / f"sub-{number:02}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(file)
    return Cohort.from_path(folder)


def _volumes(folder, grids) -> Cohort:
    rows = []
    folder.mkdir()
    for number, (shape, sides) in enumerate(grids):
        voxels = np.random.default_rng(number).random(shape).astype(np.float32)
        name = f"sub-{number:02}.nii"
        write_volume(folder / name, Volume(voxels, np.diag([*sides, 1.0])))
        rows.append((name, ("CN", "AD")[number % 2], f"sub-{number:02}"))
    table = pd.DataFrame(rows, columns=["path", "label", "participant_id"])
    table.to_csv(folder / "scans.tsv", sep="\t", index=False)
    return Cohort.from_path(folder / "scans.tsv")


def test_the_commonest_size_is_rounded_up_to_whole_patches(tmp_path) -> None:
    cohort = _slices(tmp_path / "data", [(20, 12)] * 5 + [(64, 64)])
    assert commonest_size(cohort, patch_size=8) == (24, 16)
    assert commonest_size(cohort, patch_size=4) == (20, 12)
    made = preprocessing_for(cohort, DataConfig(channels=3), patch_size=8)
    assert made == SlicePreprocessing(size=(24, 16), channels=3)
    given = preprocessing_for(cohort, DataConfig(image_size=(8, 8)), patch_size=8)
    assert given.size == (8, 8)


MM_2 = ((9, 10, 17), (2.0, 2.0, 2.0))
THICK = ((30, 30, 10), (1.0, 1.0, 3.0))


def test_the_commonest_grid_is_in_whole_patches_of_cubes(tmp_path) -> None:
    cohort = _volumes(tmp_path / "data", [MM_2, MM_2, MM_2, THICK])
    assert commonest_grid(cohort, patch_size=8) == (2.0, (24, 16, 16))
    # Given a spacing, the sizes are those of the same field of view.
    assert commonest_grid(cohort, patch_size=1, spacing_mm=1.0) == (1.0, (34, 20, 18))
    thick = _volumes(tmp_path / "other", [THICK, THICK, MM_2])
    assert commonest_grid(thick, patch_size=4) == (1.0, (32, 32, 32))


def test_settings_come_before_what_the_cohort_has(tmp_path) -> None:
    cohort = _volumes(tmp_path / "data", [MM_2, MM_2])

    def made(**settings) -> VolumePreprocessing:
        found = preprocessing_for(
            cohort, DataConfig(input="volume", **settings), patch_size=8
        )
        assert isinstance(found, VolumePreprocessing)
        return found

    assert made() == VolumePreprocessing(size=(24, 16, 16), spacing_mm=2.0)
    assert made(spacing_mm=1.0).size == (40, 24, 24)
    assert made(volume_size=(8, 8, 8)).spacing_mm == 2.0
    assert made(volume_size=(8, 8, 8), spacing_mm=1.0).size == (8, 8, 8)
    with pytest.raises(ConfigError, match="a volume has 1"):
        made(channels=3)


def test_bad_volumes_do_not_count_unless_all_are_bad(tmp_path) -> None:
    cohort = _volumes(tmp_path / "data", [MM_2, THICK, MM_2])
    cohort.file_of(1).write_bytes(b"nothing")
    assert commonest_grid(cohort, patch_size=8)[0] == 2.0
    for file in cohort.files():
        file.write_bytes(b"nothing")
    with pytest.raises(ScanError, match="sub-00"):
        commonest_grid(cohort, patch_size=8)
