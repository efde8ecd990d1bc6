from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from vit_dementia.data.volumes import Volume
from vit_dementia.errors import ConfigError
from vit_dementia.preparation import pipeline as room
from vit_dementia.preparation.checked import prepare_checked
from vit_dementia.preparation.pipeline import Pipeline, prepare
from vit_dementia.preparation.reference import GRID, reference

NONE = Pipeline(pipeline="none")


@pytest.fixture(scope="module")
def brain() -> Volume:
    rng = np.random.default_rng(0)
    intensity = reference(None).intensity
    noisy = np.abs(intensity + rng.normal(0, 0.03, intensity.shape))
    return Volume((900 * noisy).astype(np.float32), GRID.affine)


def test_none_leaves_the_scan_as_it_is(brain) -> None:
    made = prepare(brain, NONE)
    assert np.array_equal(made.volume.voxels, brain.voxels)
    assert np.array_equal(made.volume.affine, brain.affine)
    assert made.steps == ()


def test_another_spacing_covers_the_same_box(brain) -> None:
    made = prepare(brain, Pipeline(pipeline="none", spacing_mm=4.0)).volume
    assert made.spacing_mm == (4.0, 4.0, 4.0)
    mass = made.voxels.sum() * 4**3
    assert mass == pytest.approx(brain.voxels.sum() * 2**3, rel=0.02)


def test_a_stripped_scan_has_a_brain_and_nothing_else(brain) -> None:
    made = prepare(brain, Pipeline(pipeline="none", skull_strip=True)).volume
    inside = reference(None).inside
    assert not made.voxels[~inside].any()
    assert np.array_equal(made.voxels[inside], brain.voxels[inside])


def test_the_scale_of_gray_values_is_that_of_the_brain(brain) -> None:
    made = prepare(brain, Pipeline(pipeline="none", intensity="z-score")).volume
    inside = reference(None).inside
    assert made.voxels[inside].mean() == pytest.approx(0, abs=1e-3)


def test_a_scan_is_judged_before_it_is_scaled(brain) -> None:
    plain = prepare_checked(brain, NONE).quality
    scaled = prepare_checked(brain, Pipeline(pipeline="none", intensity="z-score"))
    assert scaled.quality == plain


def test_what_is_hopeless_is_not_prepared_unless_asked_for(brain) -> None:
    ct = Volume(brain.voxels - 1000, brain.affine)
    assert prepare_checked(ct, NONE).prepared is None
    checked = prepare_checked(ct, NONE, all_the_same=True)
    assert checked.prepared is not None
    assert checked.quality.verdict == "fail"


def test_what_reading_had_to_mend_is_a_reason(brain) -> None:
    mended = Volume(brain.voxels, brain.affine, ("9 voxels were read as 0",))
    (reason,) = prepare_checked(mended, NONE).quality.reasons
    assert (reason.code, reason.verdict) == ("header", "warn")
    assert reason.text == "9 voxels were read as 0"


def test_whatever_changes_the_numbers_changes_the_key() -> None:
    keys = {
        Pipeline(**settings).key("abc")
        for settings in (
            {},
            {"pipeline": "fast"},
            {"pipeline": "none"},
            {"spacing_mm": 2.0},
            {"skull_strip": True},
            {"intensity": "percentile"},
            {"seed": 1},
        )
    }
    assert len(keys) == 7
    assert NONE.key("abc") != NONE.key("abd")
    assert NONE.key("abc") == Pipeline(pipeline="none").key("abc")


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="spacing_mm"):
        Pipeline(spacing_mm=0.1)
    with pytest.raises(ConfigError, match="seed"):
        Pipeline(seed=-1)


def test_missing_software_is_named_with_what_to_do(monkeypatch) -> None:
    def nothing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(room, "version", nothing)
    NONE.require()
    with pytest.raises(ConfigError, match=r"antspyx and simpleitk.*pip install"):
        Pipeline().require()
