from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from vit_dementia.preparation.reference import reference
from vit_dementia.quality.aligned import Reference
from vit_dementia.quality.judging import look_at_aligned, look_at_stretch


@pytest.fixture(scope="module")
def template() -> Reference:
    return reference(None)


@pytest.fixture(scope="module")
def brain(template) -> np.ndarray:
    """Return the template in a scanner's unit, with noise and shading."""
    rng = np.random.default_rng(0)
    shading = np.linspace(0.9, 1.1, template.intensity.shape[1])[None, :, None]
    noisy = np.abs(template.intensity * shading + rng.normal(0, 0.03, shading.shape))
    return (900 * noisy).astype(np.float32)


def codes(voxels, template) -> dict[str, str]:
    found = look_at_aligned(voxels.astype(np.float32), template)
    return {reason.code: reason.verdict for reason in found.reasons}


def test_a_t1_weighted_brain_where_it_should_be_passes(brain, template) -> None:
    found = look_at_aligned(brain, template)
    assert found.verdict == "pass"
    assert found.measures["likeness"] > 0.95


def test_the_scanners_unit_does_not_matter(brain, template) -> None:
    once, twice = (look_at_aligned(brain * unit, template) for unit in (1, 5))
    assert once.measures == pytest.approx(twice.measures, abs=1e-4)


def test_a_brain_upside_down_is_told_by_how_it_lies(brain, template) -> None:
    found = look_at_aligned(np.ascontiguousarray(brain[:, :, ::-1]), template)
    assert found.verdict == "fail"
    assert found.reasons[0].code == "orientation"
    assert "RAI" in found.reasons[0].text


def test_a_brain_back_to_front_is_told_by_how_it_lies(brain, template) -> None:
    found = look_at_aligned(np.ascontiguousarray(brain[:, ::-1]), template)
    assert found.reasons[0].code == "orientation"
    assert "RPS" in found.reasons[0].text
    assert found.verdict == "fail"


def test_a_head_that_had_to_be_stretched_is_told(template) -> None:
    for size, verdict in ((0.95, "pass"), (0.8, "warn"), (0.6, "fail")):
        assert look_at_stretch(np.diag([1, 1, size, 1.0])).verdict == verdict


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_a_brain_is_told_by_what_is_missing(brain, template, axis) -> None:
    half = brain.copy()
    half[(slice(None),) * axis + (slice(0, half.shape[axis] // 2),)] = 0
    assert codes(half, template)["missing"] == "fail"


def test_bright_fluid_is_not_t1_weighted(template) -> None:
    t2 = np.where(template.inside, 1.1 - template.intensity, 0)
    assert codes(t2, template)["contrast"] == "fail"


def test_a_map_of_white_matter_is_no_scan(template) -> None:
    assert codes(255 * template.white, template)["tissue map"] == "fail"


def test_a_fruit_is_no_brain(template) -> None:
    rng = np.random.default_rng(0)
    flesh = ndimage.gaussian_filter(rng.normal(size=template.brain.shape), 4)
    fruit = np.where(template.inside, 500 + 900 * flesh, 0)
    assert codes(fruit, template)["no brain"] == "fail"


def test_a_brain_that_slid_away_is_badly_registered(brain, template) -> None:
    slid = ndimage.shift(brain, (0, 5, 3), order=1)
    assert codes(slid, template).get("registration") == "warn"


def test_air_is_no_brain(template) -> None:
    assert codes(np.zeros_like(template.brain), template) == {"no brain": "fail"}
