"""Patches without a head are found, and a scan that shows something there is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vit_dementia.preparation import foreground
from vit_dementia.preparation.foreground import (
    brightness_of_patches,
    find_foreground,
    fits_foreground,
)


def _heads(number: int, seed: int = 0) -> np.ndarray:
    """Return slices of 64 x 48: a bright middle, dark elsewhere, faint noise."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 9, size=(number, 1, 64, 48)).astype(np.uint8)
    images[:, :, 16:48, 16:32] = 200
    return images


@given(arrays.arrays(np.uint8, (2, 1, 32, 16)))
def test_brightness_is_the_mean_of_what_is_not_dark(images) -> None:
    bright = np.where(images[:, 0] < 0.05 * 255, 0, images[:, 0] / 255.0)
    expected = torch.nn.functional.avg_pool2d(torch.from_numpy(bright)[:, None], 16)
    found = brightness_of_patches(images, (16, 16))
    np.testing.assert_allclose(found, expected.flatten(1), atol=1e-6)


def test_only_the_patches_of_the_head_are_kept() -> None:
    assert find_foreground(_heads(50), (16, 16)) == (4, 7)


def test_where_everything_shows_something_all_are_read() -> None:
    assert find_foreground(np.full((4, 1, 64, 48), 90, np.uint8), (16, 16)) is None


def test_one_odd_slice_in_many_does_not_make_its_patch_part_of_the_head() -> None:
    images = _heads(2000)
    images[0, :, :16, :16] = 255
    assert find_foreground(images, (16, 16)) == (4, 7)
    images[:3, :, :16, :16] = 255
    assert find_foreground(images, (16, 16)) == (0, 4, 7)


def test_a_slice_with_something_outside_does_not_fit() -> None:
    images = _heads(3)
    images[1, :, 0:16, 0:4] = 255
    images[2, 0, 0, 0] = 255  # one pixel is nothing
    fits = fits_foreground(images, (16, 16), (4, 7))
    assert fits.tolist() == [True, False, True]
    assert fits_foreground(images, (16, 16), None).all()


@given(st.integers(1, 600))
def test_many_slices_are_measured_as_one_is(number) -> None:
    images = np.random.default_rng(number).integers(
        0, 255, size=(number, 1, 8, 8), dtype=np.uint8
    )
    whole = brightness_of_patches(images, (4, 4))
    assert whole[-1] == pytest.approx(brightness_of_patches(images[-1:], (4, 4))[0])


def test_patches_of_volumes_are_numbered_plane_by_plane_row_by_row() -> None:
    volumes = np.zeros((3, 1, 32, 48, 16), np.uint8)
    volumes[:, :, 16:, 32:, :] = 200  # the second plane's third row
    volumes[1, :, :16, :16, :4] = 90
    bright = brightness_of_patches(volumes, (16, 16, 16))
    expected = torch.nn.functional.avg_pool3d(
        torch.from_numpy(volumes / 255.0), 16
    ).flatten(1)
    np.testing.assert_allclose(bright, expected, atol=1e-6)
    assert find_foreground(volumes[::2], (16, 16, 16)) == (5,)
    assert fits_foreground(volumes, (16, 16, 16), (5,)).tolist() == [True, False, True]


def test_rows_are_looked_at_without_copying_the_others(monkeypatch) -> None:
    images = _heads(50)
    rows = np.array([40, 3, 3, 17])
    copied = images[rows]
    taken = []

    class Mapped(np.ndarray):
        def __getitem__(self, chosen):
            taken.append(np.size(chosen))
            return np.asarray(self)[chosen]

    mapped = images.view(Mapped)
    monkeypatch.setattr(foreground, "_AT_ONCE", 2 * images[0].size)
    ours = brightness_of_patches(mapped, (16, 16), rows)
    assert np.array_equal(ours, brightness_of_patches(copied, (16, 16)))
    assert taken == [2, 2]
    assert find_foreground(images, (16, 16), rows) == find_foreground(copied, (16, 16))
    for visible in (None, (4, 7), (4,)):
        fits = fits_foreground(images, (16, 16), visible, rows)
        assert np.array_equal(fits, fits_foreground(copied, (16, 16), visible))
