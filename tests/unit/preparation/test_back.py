"""A lump that the network reads somewhere is put back where it lies in the scan."""

import numpy as np
import pytest
from scipy import ndimage

from vit_dementia.data.volumes import Volume
from vit_dementia.preparation.back import back_to_slice, back_to_volume
from vit_dementia.preparation.slab import SLAB_MM, SlabPreprocessing
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.preparation.volumes import VolumePreprocessing


@pytest.mark.parametrize("fit", ["pad", "stretch"])
@pytest.mark.parametrize("shape", [(40, 40), (90, 60), (33, 71), (64, 48)])
def test_a_lump_in_a_slice_comes_back_to_its_place(fit, shape) -> None:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    place = 0.3 * shape[0], 0.6 * shape[1]
    lump = np.exp(-((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / 20)
    made = SlicePreprocessing(size=(64, 48), fit=fit)
    read = made(np.float32(lump)[None])[0].astype(np.float32)
    back = back_to_slice(made, read, shape)
    assert back.shape == shape
    np.testing.assert_allclose(ndimage.center_of_mass(back), place, atol=1.0)
    assert np.corrcoef(back.ravel(), lump.ravel())[0, 1] > 0.97


def head(spacing: tuple[float, float, float]) -> tuple[Volume, tuple[float, ...]]:
    """Return a gray head with a bright lump to its left, front and top, and its place.

    The place is in voxels.
    """
    shape = tuple(round(200 / side) for side in spacing)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    mm = grid * np.array(spacing)[:, None, None, None]
    middle = np.array([100.0, 100.0, 95.0])[:, None, None, None]
    inside = (((mm - middle) / np.array([65, 80, 85])[:, None, None, None]) ** 2).sum(
        axis=0
    ) < 1
    where = np.array([82.0, 90.0, 112.0])
    lump = np.exp(-((mm - where[:, None, None, None]) ** 2).sum(axis=0) / 200)
    voxels = (50.0 * inside + 100.0 * lump).astype(np.float32)
    return Volume(voxels, np.diag([*spacing, 1.0])), tuple(where / np.array(spacing))


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (1.5, 2.5, 4.0)])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_lump_in_slices_of_a_volume_comes_back_to_its_place(plane, spacing) -> None:
    volume, place = head(spacing)
    made = SlabPreprocessing(
        size=(112, 112), spacing_mm=2.0, plane=plane, slab_mm=SLAB_MM[plane], count=9
    )
    read = made(volume).astype(np.float32)
    lump = np.clip(read - 0.93 * read.max(), 0, None)
    back = back_to_volume(made, lump, volume)
    assert back.shape == volume.voxels.shape
    found = np.array(ndimage.center_of_mass(back)) * spacing
    np.testing.assert_allclose(found, np.array(place) * spacing, atol=5.0)
    assert (back > 0).any(axis=(1, 2)).sum() > 3
    outside = back_to_volume(made, np.ones_like(read), volume)
    assert set(np.unique(outside.round(5))) == {0.0, 1.0}  # nothing beyond the slab


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (1.5, 2.5, 4.0)])
@pytest.mark.parametrize("size", [(64, 64, 64), (112, 112, 112)])
def test_a_lump_in_a_volume_comes_back_to_its_place(size, spacing) -> None:
    volume, place = head(spacing)
    made = VolumePreprocessing(size=size, spacing_mm=2.0)
    read = made(volume)[0].astype(np.float32)
    back = back_to_volume(made, np.clip(read - 0.93 * read.max(), 0, None), volume)
    assert back.shape == volume.voxels.shape
    found = np.array(ndimage.center_of_mass(back)) * spacing
    np.testing.assert_allclose(found, np.array(place) * spacing, atol=3.0)
