"""The slice without the head."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from vit_dementia.preparation.silhouette import FILL, _filled, erase, head_of


def disc(radius=0.3, size=(96, 80), inside=180.0, outside=0.0):
    rows, columns = np.mgrid[: size[0], : size[1]]
    away = np.hypot(rows - size[0] / 2, columns - size[1] / 2)
    return np.where(away < radius * size[0], inside, outside), away


@pytest.mark.parametrize("size", [(96, 80), (208, 176), (300, 300), (32, 24)])
def test_the_head_is_found_at_any_size_with_its_holes(size):
    image, away = disc(size=size)
    image[away < 0.1 * size[0]] = 0  # ventricles
    head = head_of(image)
    truth = away < 0.3 * size[0]
    overlap = 2 * (head & truth).sum() / (head.sum() + truth.sum())
    assert overlap > 0.93
    assert head[size[0] // 2, size[1] // 2]


def test_noise_and_a_dim_rim_do_not_hide_the_head():
    image, away = disc(inside=120.0)
    image[(away > 0.22 * 96) & (away < 0.3 * 96)] = 60.0
    image += np.abs(np.random.default_rng(0).normal(0, 8, image.shape))
    head, truth = head_of(image), away < 0.3 * 96
    assert 2 * (head & truth).sum() / (head.sum() + truth.sum()) > 0.93


def test_a_bright_border_is_no_head_and_survives_erasing():
    image, _ = disc()
    image[:3] = image[-3:] = image[:, :3] = image[:, -3:] = 255
    slices = image.astype(np.uint8)[None, None]
    erased = erase(slices)
    assert (erased[0, 0, :3] == 255).all()
    assert erased[0, 0, 48, 40] == FILL
    assert (erased[0, 0, 5:10, 5:10] == 0).all()  # background stays


@pytest.mark.parametrize("inset", [0, 6])
@pytest.mark.parametrize("size", [(96, 80), (48, 48, 48)])
def test_a_frame_that_the_head_touches_is_no_head(size, inset):
    """A frame of any width, also one that black was added around."""
    places = np.indices(size)
    last = np.reshape(size, (-1, *[1] * len(size))) - 1
    away = np.linalg.norm(places - last / 2, axis=0)
    from_edge = np.minimum(places, last - places).min(axis=0)
    noise = np.random.default_rng(0).normal(0, 6, size)
    width = 10 if len(size) == 2 else 5
    frame = (from_edge >= inset) & (from_edge < inset + width)
    head = (away < min(size) / 2 - inset - width + 3) & ~frame  # cut by it
    image = np.where(frame, 230 + noise, np.where(head, 120 + 5 * noise, noise))
    found = head_of(np.clip(image, 0, 255))
    assert not (found & frame).any()
    assert 2 * (found & head).sum() / (found.sum() + head.sum()) > 0.93


def test_a_box_that_is_all_there_is_is_the_head():
    image = np.zeros((96, 80))
    image[20:70, 20:60] = 200
    assert np.array_equal(head_of(image), image > 0)


def test_nothing_inside_the_head_is_left_to_tell():
    image, away = disc()
    other = image.copy()
    other[away < 10] = 90
    first, second = (
        erase(np.stack([one.astype(np.uint8)] * 3)[None]) for one in (image, other)
    )
    assert np.array_equal(first, second)


def test_an_empty_slice_has_no_head():
    assert not head_of(np.zeros((40, 40))).any()
    corner = np.zeros((100, 100))
    corner[:5, :5] = 200  # far from the center
    assert not head_of(corner).any()


def test_the_head_of_a_volume_is_one_piece_with_its_holes():
    away = np.sqrt(sum((axis - 36.0) ** 2 for axis in np.indices((72, 72, 72))))
    volume = np.where(away < 24, 180, 0).astype(np.uint8)
    volume[away < 8] = 0  # ventricles
    volume[:4] = 250  # a marking along the edge
    head, truth = head_of(volume), away < 24
    assert 2 * (head & truth).sum() / (head.sum() + truth.sum()) > 0.9
    assert head[36, 36, 36]
    erased = erase(volume[None, None])
    assert erased[0, 0, 36, 36, 36] == FILL
    assert (erased[0, 0, :2] == 250).all()


@pytest.mark.parametrize("shape", [(30, 26), (14, 12, 10)])
def test_holes_are_filled_as_scipy_fills_them(shape):
    rng = np.random.default_rng(0)
    num_filled = 0
    for width in (0.3, 0.6, 1.0, 1.6):
        mask = ndimage.gaussian_filter(rng.normal(size=shape), width) > -0.1
        expected = ndimage.binary_fill_holes(mask)
        np.testing.assert_array_equal(_filled(mask), expected)
        num_filled += (expected & ~mask).sum()
    assert num_filled > 10
