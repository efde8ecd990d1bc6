"""Slices worsened on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from vit_dementia.preparation.degradations import DEGRADATIONS, MOST_SEVERE


@pytest.fixture
def slices():
    rows, columns = np.mgrid[:48, :40]
    disc = np.hypot(rows - 24, columns - 20) < 15
    texture = 60 * np.sin(rows / 3) * np.cos(columns / 2)
    one = np.where(disc, 140 + texture, 0).astype(np.uint8)
    return np.stack([one, one[::-1], one[:, ::-1]])[:, None]


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_each_is_worse_the_more_severe_it_is_and_the_same_for_the_same_seed(
    name, slices
):
    rule, before = DEGRADATIONS[name], slices.copy()
    distance = []
    for severity in range(1, MOST_SEVERE + 1):
        worse = rule(slices, severity, seed=3)
        assert worse.shape == slices.shape
        assert worse.dtype == np.uint8
        assert np.array_equal(worse, rule(slices, severity, seed=3))
        distance.append(np.abs(worse.astype(float) - slices).mean())
    assert distance == sorted(distance)
    assert distance[-1] > 1
    assert np.array_equal(slices, before)


def test_noise_is_rician(slices):
    empty = np.zeros((1, 1, 200, 200), np.uint8)
    noise = DEGRADATIONS["noise"](empty, 2, seed=0) / 255
    expected = 0.08 * np.sqrt(np.pi / 2)  # the mean of Rayleigh's distribution
    assert noise.mean() == pytest.approx(expected, rel=0.03)


def test_ghosts_are_the_slice_moved_by_half_its_height(slices):
    amount = DEGRADATIONS["ghosting"].amounts[1]
    ghost = DEGRADATIONS["ghosting"](slices[:1], 2, seed=0)[0, 0].astype(float)
    own = slices[0, 0].astype(float)
    moved = np.roll(own, 24, axis=0)
    expected = (1 - amount / 2) * own + amount / 2 * moved
    assert np.abs(ghost - np.clip(expected, 0, 255)).max() <= 1


def test_a_bias_field_changes_no_zero_and_keeps_the_middle(slices):
    worse = DEGRADATIONS["bias field"](slices, 3, seed=0)
    assert (worse[slices == 0] == 0).all()
    assert abs(int(worse[0, 0, 24, 20]) - int(slices[0, 0, 24, 20])) <= 8


def test_rotation_turns_about_the_middle(slices):
    worse = DEGRADATIONS["rotation"](slices, 3, seed=0)
    outside = (
        np.hypot(*(np.mgrid[:48, :40] - np.array([23.5, 19.5])[:, None, None])) > 17
    )
    assert worse[:, 0, outside].max() < 30


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_volumes_are_worsened_too_each_more_the_more_severe(name, slices):
    volumes = np.stack([slices] * 12, axis=2)  # equal planes
    rule = DEGRADATIONS[name]
    worse = [rule(volumes, severity, seed=3) for severity in (1, MOST_SEVERE)]
    assert all(one.shape == volumes.shape for one in worse)
    near, far = (np.abs(one.astype(float) - volumes).mean() for one in worse)
    assert near < far
    if name in ("ghosting", "bias field", "rotation", "contrast"):  # within a plane
        plane = rule(slices, MOST_SEVERE, seed=3)
        assert np.array_equal(worse[1][:, :, 5], plane)
