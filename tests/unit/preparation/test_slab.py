"""Slices of volumes are cut at the same places of every head."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.errors import CheckpointError, ConfigError, ScanError
from vit_dementia.preparation.head_box import find_head, sampling
from vit_dementia.preparation.slab import FIELD_MM, SLAB_MM, SlabPreprocessing
from vit_dementia.preparation.spec import preprocessing_from, rows_of, stored_shape

PLANES = ("axial", "coronal", "sagittal")


def head(spacing=(2.0, 2.0, 2.0), shape_mm=(200, 220, 200), at=(100, 110, 110)):
    """Return an egg of 140 x 180 x 140 mm: bright above, with a brighter right ear."""
    sides = [round(mm / side) for mm, side in zip(shape_mm, spacing, strict=True)]
    x, y, z = (
        np.arange(n)[tuple(slice(None) if i == axis else None for i in range(3))] * side
        - middle
        for axis, (n, side, middle) in enumerate(zip(sides, spacing, at, strict=True))
    )
    inside = (x / 70) ** 2 + (y / 90) ** 2 + (z / 70) ** 2 < 1
    voxels = np.where(inside, 100 + 0.5 * z + 0.2 * y, 0).astype(np.float32)
    voxels[inside & (np.hypot(x - 50, y) < 8) & (abs(z) < 40)] = 200  # on the right
    return Volume(voxels, np.diag([*spacing, 1.0]))


def made(plane="axial", **changes):
    height, width = (round(side / 2) for side in FIELD_MM[plane])
    settings = {
        "size": (height, width), "spacing_mm": 2.0, "plane": plane,
        "slab_mm": SLAB_MM[plane], "count": 5,
    }  # fmt: skip
    return SlabPreprocessing(**settings | changes)


@pytest.mark.parametrize("plane", PLANES)
def test_a_head_gives_the_same_slices_wherever_it_lies(plane) -> None:
    preprocessing = made(plane)
    first = preprocessing(head())
    second = preprocessing(head(shape_mm=(240, 240, 220), at=(130, 118, 120)))
    assert first.shape == (5, *preprocessing.size)
    np.testing.assert_allclose(first.astype(int), second, atol=1)


@pytest.mark.parametrize("plane", PLANES)
def test_other_voxel_sizes_give_almost_the_same_slices(plane) -> None:
    preprocessing = made(plane)
    first = preprocessing(head()).astype(float)
    for spacing in ((1.0, 1.0, 1.0), (1.2, 0.9, 3.0)):
        other = preprocessing(head(spacing)).astype(float)
        assert np.abs(first - other).mean() < 6
        assert np.corrcoef(first.ravel(), other.ravel())[0, 1] > 0.97


def test_slices_are_turned_as_pictures_of_heads_are() -> None:
    axial = made("axial", slab_mm=(60.0, 70.0), count=1)(head())[0]
    columns = np.nonzero(axial > 230)[1]
    assert columns.mean() > axial.shape[1] / 2  # the right ear is on the right
    brain = np.nonzero(axial)[0]
    assert axial[brain.min() + 4].max() > axial[brain.max() - 4].max()  # front is up
    coronal = made("coronal")(head())[1]
    lit = np.flatnonzero(coronal.max(axis=1))
    assert lit[0] in (3, 4)  # below the margin
    assert coronal[lit[0] + 3].max() > coronal[lit[-1] - 3].max()  # bright above
    assert np.nonzero(coronal > 230)[1].mean() > coronal.shape[1] / 2
    sagittal = made("sagittal")(head())[2]
    lit = np.flatnonzero(sagittal.max(axis=0))
    top = np.flatnonzero(sagittal.max(axis=1))
    assert top[0] in (3, 4)
    middle = sagittal[top].mean(axis=0)
    assert middle[lit[3]] > middle[lit[-4]]  # the brighter front is on the left


def test_slices_equal_linear_interpolation_of_scipy() -> None:
    volume = head()
    preprocessing = made("coronal", slab_mm=(60.5, 90.5), count=3, spacing_mm=1.5)
    found = preprocessing(volume)
    box = find_head(volume)
    y = box.back_front[1] - np.array([60.5, 75.5, 90.5])
    z = box.top + 8 - 1.5 * np.arange(96)
    x = sum(box.left_right) / 2 + 1.5 * (np.arange(96) - 47.5)
    places = np.stack(np.meshgrid(y, z, x, indexing="ij"))[[2, 0, 1]] / 2
    expected = ndimage.map_coordinates(volume.voxels, places, order=1)
    white = np.percentile(volume.voxels[volume.voxels > 0], 99.5)
    expected = np.rint(np.clip(expected / white, 0, 1) * 255)
    np.testing.assert_allclose(found, expected, atol=1)


@given(
    st.integers(1, 12),
    st.floats(0.5, 4),
    st.floats(0.5, 4),
    st.lists(st.floats(-50, 50), min_size=1, max_size=6),
)
@settings(max_examples=50)
def test_weights_of_voxels_are_shares(count, side, width, places) -> None:
    weights = sampling(
        np.array(places, np.float32), count=count, side_mm=side, width_mm=width
    )
    assert (weights >= 0).all()
    assert (weights.sum(axis=1) <= 1 + 1e-5).all()
    inside = (np.array(places) >= 0) & (np.array(places) <= side * (count - 1))
    reach = max(side, width)
    deep = (
        inside
        & (np.array(places) >= reach)
        & (np.array(places) <= side * (count - 1) - reach)
    )
    np.testing.assert_allclose(weights[deep].sum(axis=1), 1, atol=1e-4)


def test_a_speck_of_noise_above_the_head_is_not_its_top() -> None:
    volume = head()
    volume.voxels[10, 10, -1] = 500
    assert find_head(volume).top == pytest.approx(find_head(head()).top)


def test_a_hot_voxel_does_not_blacken_the_head() -> None:
    volume = head()
    volume.voxels[50, 55, 50] = 1e9
    assert np.median(made()(volume)[made()(volume) > 0]) > 100


def test_what_shows_no_head_is_refused() -> None:
    empty = Volume(np.full((20, 20, 20), 7, np.float32), np.eye(4))
    with pytest.raises(ScanError, match="same value"):
        made()(empty)
    short = head()
    cut = Volume(short.voxels[:, :, 70:].copy(), short.affine)
    with pytest.raises(ScanError, match="ends before"):
        made("axial")(cut)


def test_settings_that_cannot_be_cut_are_refused_together() -> None:
    with pytest.raises(ConfigError) as refused:
        made(count=0, spacing_mm=0.0, slab_mm=(5.0, 5.0))
    assert len(refused.value.faults) == 3


def test_it_is_written_and_read_back_exactly(tmp_path) -> None:
    preprocessing = dataclasses.replace(made("coronal"), mean=0.2, std=0.3)
    text = json.dumps(preprocessing.to_dict())
    assert preprocessing_from(json.loads(text)) == preprocessing
    with pytest.raises(CheckpointError, match="format 9"):
        preprocessing_from(json.loads(text) | {"format": 9})
    write_volume(tmp_path / "scan.nii.gz", head())
    stored = preprocessing.read(tmp_path / "scan.nii.gz")
    assert stored.shape == stored_shape(preprocessing)


def test_each_slice_is_a_row_with_as_many_channels_as_asked_for() -> None:
    preprocessing = made("coronal", channels=3, count=4)
    stored = preprocessing(head())[None]
    rows = rows_of(preprocessing, np.concatenate([stored, stored]))
    assert rows.shape == (8, 3, *preprocessing.size)
    assert np.array_equal(rows[5, 2], stored[0, 1])
