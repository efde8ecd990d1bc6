"""Volumes made the input of a network: where things lie, how large, how bright."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.errors import CheckpointError, ConfigError, ScanError
from vit_dementia.preparation.spec import preprocessing_from
from vit_dementia.preparation.volumes import VolumePreprocessing, _framed, upright

MM_2 = np.diag([2.0, 2.0, 2.0, 1.0])
PREPARATION = VolumePreprocessing(size=(16, 20, 24), spacing_mm=2.0)


def _head(*sides: int) -> np.ndarray:
    voxels = np.random.default_rng(0).random(sides)
    return ndimage.gaussian_filter(voxels, 2).astype(np.float32) * 1000


def test_planes_go_up_rows_from_the_nose_back_and_columns_to_the_right() -> None:
    for axis, place in enumerate([(0, 0, 11), (0, 0, 0), (15, 0, 0)]):
        voxels = np.ones((12, 10, 16), np.float32)
        end = [5, 5, 5]
        end[axis] = -1
        voxels[tuple(end)] = 99.0  # furthest to the right, to the front, up
        found = np.unravel_index(upright(voxels).argmax(), (16, 10, 12))
        expected = (5, 4, 5)  # the sixth from the back is the fifth from the nose
        changed = (2, 1, 0)[axis]
        assert found[changed] == place[changed]
        assert [n for i, n in enumerate(found) if i != changed] == [
            n for i, n in enumerate(expected) if i != changed
        ]


def test_a_volume_of_the_models_spacing_is_cut_or_filled_up_and_not_resampled() -> None:
    voxels = _head(31, 18, 16)
    found = PREPARATION(Volume(voxels, MM_2))
    assert found.shape == (1, 16, 20, 24)
    assert found.dtype == np.uint8
    white = np.percentile(voxels, 99.5)
    expected = np.rint(np.clip(upright(voxels) / white, 0, 1) * 255)
    assert np.array_equal(found[0, :, 1:19], expected[:, :, 3:27])
    assert (found[0, :, 0] == 0).all()


def test_smaller_voxels_are_torchs_trilinear_ones() -> None:
    voxels = _head(16, 18, 20)
    preparation = VolumePreprocessing(size=(40, 36, 32), spacing_mm=1.0)
    found = preparation(Volume(voxels, MM_2))[0] / 255.0
    scaled = upright(voxels / np.percentile(voxels, 99.5)).clip(0, 1).copy()
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(scaled)[None, None], scale_factor=2, mode="trilinear"
    )[0, 0].numpy()
    inner = np.s_[1:-1, 1:-1, 1:-1]  # beyond the edge there is black, or its repeat
    assert np.abs(found - expected)[inner].max() < 0.003


def test_larger_voxels_hold_the_mean_of_what_they_replace() -> None:
    voxels = _head(36, 36, 36)
    preparation = VolumePreprocessing(size=(18, 18, 18), spacing_mm=4.0)
    found = preparation(Volume(voxels, MM_2))[0] / 255.0
    scaled = torch.from_numpy(upright(voxels / np.percentile(voxels, 99.5)).copy())
    expected = torch.nn.functional.avg_pool3d(scaled.clip(0, 1)[None], 2)[0].numpy()
    inner = np.s_[2:-2, 2:-2, 2:-2]
    assert np.abs(found - expected)[inner].max() < 0.05
    assert abs((found - expected)[inner].mean()) < 0.002


def test_anisotropic_voxels_become_cubes() -> None:
    ball = np.zeros((40, 40, 20), np.float32)
    x, y, z = np.indices(ball.shape) - np.array([19.5, 19.5, 9.5])[:, None, None, None]
    ball[np.sqrt(x**2 + y**2 + (2 * z) ** 2) < 12] = 100
    preparation = VolumePreprocessing(size=(40, 40, 40), spacing_mm=1.0)
    found = preparation(Volume(ball, np.diag([1.0, 1, 2, 1])))[0] > 127
    along = [np.ptp(axis) for axis in np.nonzero(found)]
    assert max(along) - min(along) <= 2


@given(st.floats(0.01, 1e4))
def test_the_scanners_unit_does_not_matter(unit) -> None:
    voxels = _head(16, 16, 16)
    one, other = (
        PREPARATION(Volume(v.astype(np.float32), MM_2)).astype(int)
        for v in (voxels, voxels * unit)
    )
    assert np.abs(one - other).max() <= 1


@given(st.tuples(*[st.integers(1, 6)] * 3), st.tuples(*[st.integers(0, 5)] * 3))
def test_what_is_filled_up_comes_back_when_it_is_cut(shape, more) -> None:
    voxels = np.random.default_rng(0).random(shape).astype(np.float32)
    larger = tuple(a + b for a, b in zip(shape, more, strict=True))
    again = _framed(_framed(voxels, larger), shape)
    assert np.array_equal(again, voxels)


def test_a_file_is_prepared_as_its_volume_is(tmp_path) -> None:
    volume = Volume(_head(16, 18, 20), MM_2)
    write_volume(tmp_path / "a.nii.gz", volume)
    assert np.array_equal(PREPARATION.read(tmp_path / "a.nii.gz"), PREPARATION(volume))


def test_a_volume_of_one_value_is_refused() -> None:
    for value in (0.0, 7.0):
        with pytest.raises(ScanError, match="needs a volume of a brain"):
            PREPARATION(Volume(np.full((9, 9, 9), value, np.float32), MM_2))


def test_settings_that_no_volume_can_meet_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"spacing_mm: found 0\.0"):
        VolumePreprocessing(size=(8, 8, 8), spacing_mm=0.0)


def test_what_is_written_is_read_back_and_another_format_is_refused() -> None:
    made = dataclasses.replace(PREPARATION, mean=0.2, std=0.3)
    stored = json.loads(json.dumps(made.to_dict()))
    assert stored["input"] == "volume"
    assert preprocessing_from(stored) == made
    for wrong in ({"format": 2}, {"more": 1}):
        with pytest.raises(CheckpointError, match="needs format 1"):
            preprocessing_from(stored | wrong)
