from __future__ import annotations

import numpy as np
import pytest
from tests.unit.preparation.heads import error_mm, head

from vit_dementia.data.volumes import Volume
from vit_dementia.errors import ScanError
from vit_dementia.preparation import alignment
from vit_dementia.preparation.alignment import align, align_roughly
from vit_dementia.preparation.grids import box_around, shown_on
from vit_dementia.preparation.templates import load_template


@pytest.mark.slow
def test_points_of_a_head_with_a_skull_are_recovered_within_1_mm() -> None:
    # Larger than most: from the size of most, skull and scalp were taken for brain.
    phantom = head(1, whole_head=True)
    found = align(phantom.volume, load_template(), seed=0)
    assert error_mm(found.scan_of_template, phantom.scan_of_template) < 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 20])
@pytest.mark.parametrize("whole_head", [False, True])
def test_points_of_every_phantom_are_recovered_within_1_mm(number, whole_head) -> None:
    phantom = head(number, whole_head=whole_head)
    found = align(phantom.volume, load_template(), seed=0)
    assert error_mm(found.scan_of_template, phantom.scan_of_template) < 1


@pytest.mark.slow
def test_a_scan_on_tilted_axes_lies_where_the_untilted_one_does() -> None:
    phantom = head(1)
    angle = np.deg2rad(12)
    tilt = np.eye(4)
    tilt[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    grid = box_around(Volume(phantom.volume.voxels, tilt @ phantom.volume.affine), 2.0)
    # The same head, stored along axes that are tilted against the scanner's.
    tilted = Volume(
        shown_on(grid, phantom.volume, np.linalg.inv(tilt)),
        np.linalg.inv(tilt) @ grid.affine,
    )
    template = load_template()
    plain = align(phantom.volume, template, seed=0).scan_of_template
    assert error_mm(align(tilted, template, seed=0).scan_of_template, plain) < 1


@pytest.mark.slow
def test_a_head_far_from_the_middle_is_found() -> None:
    phantom = head(1, whole_head=True)
    away = phantom.volume.affine.copy()
    away[:3, 3] += [300, -200, 500]
    found = align_roughly(Volume(phantom.volume.voxels, away), load_template())
    moved = phantom.scan_of_template.copy()
    moved[:3, 3] += [300, -200, 500]
    assert error_mm(found.scan_of_template, moved) < 5


def test_what_itk_cannot_register_is_one_line() -> None:
    class Hopeless:
        def MetricEvaluate(self, fixed, moving) -> None:  # noqa: N802  # ITK's name
            raise RuntimeError("sitk\nAll samples map outside moving image buffer")

    with pytest.raises(ScanError, match=r"registered \(All samples map outside"):
        alignment._run(Hopeless(), None, None)
