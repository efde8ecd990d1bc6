"""Heads whose coil makes one side several times as bright as the other."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.preparation.heads import error_mm, head

from vit_dementia.data.volumes import Volume, read_volume
from vit_dementia.errors import ScanError
from vit_dementia.preparation.alignment import align
from vit_dementia.preparation.bias import without_bias, without_bias_in_brain
from vit_dementia.preparation.checked import prepare_checked
from vit_dementia.preparation.fast import lay
from vit_dementia.preparation.grids import sampled
from vit_dementia.preparation.pipeline import Pipeline
from vit_dementia.preparation.templates import load_template

N4 = "N4 bias correction"


def shaded(volume: Volume, *, mm: float) -> Volume:
    """Return a volume e times as bright for so many mm to the right."""
    x = np.arange(volume.voxels.shape[0]) - volume.voxels.shape[0] / 2
    factor = np.exp(x * volume.spacing_mm[0] / mm).astype(np.float32)[:, None, None]
    return Volume(volume.voxels * factor, volume.affine)


def spread_left(made: Volume, scan: Volume, way: np.ndarray) -> float:
    """Return the deviation of what the brain was multiplied by, on a log scale."""
    template = load_template()
    there = Volume(template.brain, template.grid.affine)
    brain = sampled(there, scan.voxels.shape, np.linalg.inv(way) @ scan.affine) > 0.5
    brain &= scan.voxels > 0.2 * np.percentile(scan.voxels[brain], 99)
    return float(np.log(made.voxels[brain] / scan.voxels[brain]).std())


@pytest.mark.slow
def test_strong_shading_is_found_in_the_brain_and_the_head_laid_anew() -> None:
    phantom = head(3, whole_head=True)
    dark_on_one_side = shaded(phantom.volume, mm=90)
    truth = phantom.scan_of_template
    once = spread_left(without_bias(dark_on_one_side)[0], phantom.volume, truth)
    laid = lay(dark_on_one_side, None, seed=0)
    assert sum(step["Name"] == N4 for step in laid.steps) > 1
    assert spread_left(laid.volume, phantom.volume, truth) < once / 2
    assert error_mm(laid.scan_of_template, truth) < 2
    assert laid.likeness > 0.6


@pytest.mark.slow
def test_a_head_like_the_template_is_not_looked_at_twice() -> None:
    phantom = head(3)
    volume, step = without_bias(phantom.volume)
    laid = lay(phantom.volume, None, seed=0)
    assert np.array_equal(laid.volume.voxels, volume.voxels)
    found = align(volume, load_template(), seed=0)
    assert np.array_equal(laid.scan_of_template, found.scan_of_template)
    assert laid.steps == (step, *found.steps)


def test_where_no_brain_is_seen_there_is_no_shading_to_find() -> None:
    affine, far = np.diag([4.0, 4.0, 4.0, 1.0]), np.eye(4)
    affine[:3, 3] = -80
    far[0, 3] = 1e4  # the brain is beside the scan
    black = Volume(np.zeros((40, 40, 40), np.float32), affine)
    bright = Volume(black.voxels + 1, affine)
    plane = Volume(black.voxels.copy(), affine)
    plane.voxels[:, :, 20] = 1
    assert without_bias_in_brain(bright, load_template(), np.eye(4)) is not None
    for scan, way in ((black, np.eye(4)), (plane, np.eye(4)), (bright, far)):
        assert without_bias_in_brain(scan, load_template(), way) is None


def test_shading_that_itk_cannot_find_is_one_line() -> None:
    flat = Volume(np.ones((40, 40, 1), np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
    with pytest.raises(ScanError, match=r"^its shading cannot be found \("):
        without_bias(flat)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["IXI012-HH-1211_T1", "someones_anatomy"])
def test_a_good_scan_is_not_refused_for_the_shading_of_a_coil(
    shared_data, name
) -> None:
    scan = read_volume(shared_data / "mri_nifti_samples" / f"{name}.nii.gz")
    worse = shaded(scan, mm=100)
    quality = prepare_checked(worse, Pipeline(pipeline="fast", spacing_mm=4.0)).quality
    assert quality.verdict != "fail"
    assert quality.measures["likeness"] > 0.6
    assert quality.measures["white"] > 1.05 * quality.measures["gray"]
