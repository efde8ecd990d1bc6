from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.processing import resample_from_to
from scipy import ndimage

from vit_dementia.data.volumes import Volume
from vit_dementia.preparation.grids import CROP, Grid, box_around, shown_on


def smooth_volume(shape=(20, 24, 18), spacing=2.0) -> Volume:
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    voxels = np.exp(-(x**2 + 2 * y**2 + z**2) * 2) + 0.2 * x
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [-19, -23, -17]
    return Volume(voxels.astype(np.float32), affine)


def test_the_crop_grid_is_that_of_clinica() -> None:
    assert CROP.shape == (169, 208, 179)
    assert np.array_equal(CROP.affine[:3, 3], [-84, -119, -78])
    assert np.array_equal(CROP.affine[:3, :3], np.eye(3))


def test_a_finer_grid_shows_what_nibabel_shows() -> None:
    volume = smooth_volume()
    grid = Grid(shape=(30, 30, 30), origin_mm=(-15.0, -15.0, -15.0), spacing_mm=1.0)
    image = nib.Nifti1Image(volume.voxels, volume.affine)
    theirs = resample_from_to(image, (grid.shape, grid.affine), order=1).get_fdata()
    assert np.allclose(shown_on(grid, volume), theirs, atol=1e-5)


def test_a_turn_leads_to_where_the_point_is() -> None:
    volume = smooth_volume()
    turn = np.eye(4)
    turn[:2, :2] = [[0, -1], [1, 0]]
    grid = Grid(shape=(3, 3, 3), origin_mm=(-2.0, -2.0, -2.0), spacing_mm=2.0)
    shown = shown_on(grid, volume, turn)
    point = np.linalg.inv(volume.affine) @ turn @ grid.affine @ [2, 1, 0, 1]
    expected = ndimage.map_coordinates(volume.voxels, point[:3, None], order=1)
    assert shown[2, 1, 0] == pytest.approx(expected[0], abs=1e-5)


def test_a_coarser_grid_does_not_show_single_bright_voxels() -> None:
    volume = smooth_volume(spacing=1.0)
    checkers = np.indices(volume.voxels.shape).sum(0) % 2
    noisy = Volume(checkers.astype(np.float32), volume.affine)
    inner = shown_on(box_around(noisy, 4.0), noisy)[1:-1, 1:-1, 1:-1]
    assert np.abs(inner - 0.5).max() < 0.1


@given(st.sampled_from([1.0, 1.5, 2.0, 3.0, 4.0]))
def test_grids_of_every_spacing_cover_the_same_box(spacing) -> None:
    grid = CROP.at(spacing)
    start = np.array(grid.origin_mm) - spacing / 2
    assert np.allclose(start, np.array(CROP.origin_mm) - 0.5)
    end = start + np.array(grid.shape) * spacing
    whole = np.array(CROP.origin_mm) - 0.5 + CROP.shape
    assert np.abs(end - whole).max() <= spacing / 2


def test_a_box_around_tilted_axes_holds_every_corner() -> None:
    volume = smooth_volume()
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[0.8, -0.6], [0.6, 0.8]]
    tilted = Volume(volume.voxels, tilt @ volume.affine)
    box = box_around(tilted, 2.0)
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array((20, 24, 18)) - 1)
    places = corners @ tilted.affine[:3, :3].T + tilted.affine[:3, 3]
    voxels = (places - box.origin_mm) / box.spacing_mm
    assert (voxels >= -1e-6).all()
    assert (voxels <= np.array(box.shape) - 1 + 1e-6).all()
