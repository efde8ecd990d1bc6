"""Slices and volumes moved as torch and SciPy move them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy import ndimage

from vit_dementia.config import AugmentConfig
from vit_dementia.data import movement
from vit_dementia.data.movement import moved, smooth_field

STILL = AugmentConfig(rotation_degrees=0.0, scale=0.0, shift=0.0)
SIZES = {"slices": (40, 24), "volumes": (20, 32, 24)}


def _scans(*sides: int, count: int = 2) -> torch.Tensor:
    rng = np.random.default_rng(0)
    blur = (0, 0, *(2,) * len(sides))
    smooth = ndimage.gaussian_filter(rng.random((count, 1, *sides)), blur)
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return torch.from_numpy(smooth.astype(np.float32))


def _all(value: float):
    """Return a draw that is always the same share of the way from low to high."""

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.full((2, *shape), low + (high - low) * value)

    return uniform


@pytest.mark.parametrize("sides", SIZES.values(), ids=SIZES)
def test_the_grid_without_a_draw_is_torchs_own(sides, monkeypatch) -> None:
    grids = []

    def keep(images, grid, **_options):
        grids.append(grid)
        return images

    monkeypatch.setattr(movement.F, "grid_sample", keep)
    moved(_scans(*sides), STILL, _all(0.5))
    axes = len(sides)
    expected = torch.nn.functional.affine_grid(
        torch.eye(axes, axes + 1).expand(2, -1, -1), [2, 1, *sides], align_corners=False
    )
    torch.testing.assert_close(grids[0], expected)


def test_a_turn_of_a_volume_is_scipys_about_its_middle_in_voxels() -> None:
    config = dataclasses.replace(STILL, rotation_degrees=20.0, scale=0.1)
    volumes = _scans(20, 32, 24)
    found = moved(volumes, config, _all(0.9))[0, 0].numpy()
    angle, zoom = np.deg2rad(16.0), 1.08
    cos, sin = np.cos(angle), np.sin(angle)
    about_z = np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])
    about_y = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    about_x = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    turn = about_x @ about_y @ about_z / zoom  # in the order of z, y, x
    middle = (np.array(volumes.shape[2:]) - 1) / 2
    expected = ndimage.affine_transform(
        volumes[0, 0].numpy(), turn, middle - turn @ middle, order=1
    )
    inner = np.s_[6:-6, 9:-9, 7:-7]
    assert np.abs(found[inner] - expected[inner]).max() < 1e-4


@pytest.mark.parametrize("sides", SIZES.values(), ids=SIZES)
def test_a_shift_moves_by_its_share_of_each_side(sides) -> None:
    scans = _scans(*sides)
    config = dataclasses.replace(STILL, shift=0.25)
    found = moved(scans, config, _all(1.0))
    steps = tuple(side // 4 for side in sides)
    expected = scans[(..., *(slice(step, None) for step in steps))]
    rest = tuple(
        slice(None, side - step) for side, step in zip(sides, steps, strict=True)
    )
    torch.testing.assert_close(found[(..., *rest)], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sides", SIZES.values(), ids=SIZES)
def test_a_mirror_swaps_left_and_right_and_nothing_else(sides) -> None:
    scans = _scans(*sides)
    found = moved(scans, dataclasses.replace(STILL, flip=1.0), _all(0.5))
    torch.testing.assert_close(found, scans.flip(-1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sides", SIZES.values(), ids=SIZES)
def test_bending_moves_what_is_inside_and_folds_nothing_over(sides) -> None:
    ramp = torch.linspace(0, 1, sides[-1]).expand(2, 1, *sides).contiguous()
    generator = torch.Generator().manual_seed(0)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(2, *shape, generator=generator)

    bent = moved(ramp, dataclasses.replace(STILL, elastic=0.05), uniform)
    inner = (..., *(slice(side // 6, -(side // 6)) for side in sides))
    assert (bent[inner].diff(dim=-1) > 0).all()
    assert 0.01 < (bent[inner] - ramp[inner]).abs().max() < 0.06


def test_the_smooth_field_of_a_volume_is_torchs_along_two_axes_and_then_the_third():
    knots = torch.rand(2, 3, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    planes = torch.nn.functional.interpolate(
        knots.flatten(1, 2), size=(20, 24), mode="bicubic", align_corners=True
    ).unflatten(1, (3, 4))  # b c k h w
    expected = torch.nn.functional.interpolate(
        planes.flatten(3).flatten(0, 1)[:, None],
        size=(10, 20 * 24),
        mode="bicubic",
        align_corners=True,
    ).reshape(2, 3, 10, 20, 24)
    torch.testing.assert_close(smooth_field(knots, 10, 20, 24), expected)
