from __future__ import annotations

import numpy as np
import pytest

from vit_dementia.errors import ScanError
from vit_dementia.preparation.intensity import normalized, white_peak


@pytest.fixture
def brain() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    voxels = np.zeros((40, 40, 40), np.float32)
    voxels[8:32, 8:32, 8:32] = rng.normal(60, 5, (24, 24, 24))
    voxels[14:28, 14:28, 14:28] = rng.normal(95, 4, (14, 14, 14))
    return voxels, voxels > 0


STANDARD = np.random.default_rng(1).gamma(9, 0.05, 20000).astype(np.float32)


def test_z_score_gives_the_brain_mean_0_and_deviation_1(brain) -> None:
    voxels, mask = brain
    scaled = normalized(voxels, mask, "z-score", STANDARD)
    assert scaled[mask].mean() == pytest.approx(0, abs=1e-4)
    assert scaled[mask].std() == pytest.approx(1, abs=1e-4)


def test_percentile_lies_between_0_and_1_and_reaches_both(brain) -> None:
    voxels, mask = brain
    scaled = normalized(voxels, mask, "percentile", STANDARD)
    assert (scaled.min(), scaled.max()) == (0, 1)
    assert (scaled[mask] < 1).mean() == pytest.approx(0.99, abs=0.002)


def test_white_matter_becomes_1(brain) -> None:
    voxels, mask = brain
    scaled = normalized(voxels, mask, "white-matter", STANDARD)
    assert np.median(scaled[14:28, 14:28, 14:28]) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("how", ["z-score", "percentile", "white-matter", "histogram"])
def test_the_scanners_unit_does_not_matter(brain, how) -> None:
    voxels, mask = brain
    once, twice = (normalized(voxels * unit, mask, how, STANDARD) for unit in (1, 37.5))
    assert np.allclose(once, twice, atol=1e-3)


def test_the_histogram_is_that_of_the_standard_as_simpleitk_makes_it(brain) -> None:
    itk = pytest.importorskip("SimpleITK")
    voxels, mask = brain
    scaled = normalized(voxels, mask, "histogram", STANDARD)
    inside, wanted = (
        itk.GetImageFromArray(values[None]) for values in (voxels[mask], STANDARD)
    )
    theirs = itk.HistogramMatching(
        inside, wanted, 4096, 9, thresholdAtMeanIntensity=False
    )
    ours = scaled[mask]
    middle = (ours > np.quantile(ours, 0.1)) & (ours < np.quantile(ours, 0.9))
    assert np.abs(ours - itk.GetArrayFromImage(theirs)[0])[middle].max() < 0.02
    for percent in (1, 10, 50, 90, 99):
        asked = np.percentile(STANDARD, percent)
        assert np.percentile(ours, percent) == pytest.approx(asked, rel=1e-3)
    assert scaled.max() > np.percentile(STANDARD, 99.5)
    assert not scaled[~mask].any()
    order = np.argsort(voxels, axis=None)
    assert (np.diff(scaled.ravel()[order]) >= 0).all()


def test_another_curve_of_gray_values_matters_little_to_the_histogram(brain) -> None:
    voxels, mask = brain
    plain, curved = (
        normalized(one.astype(np.float32), mask, "histogram", STANDARD)[mask]
        for one in (voxels, voxels**1.5)
    )
    assert np.abs(plain - curved).mean() < 0.02 * STANDARD.mean()


def test_as_is_changes_nothing(brain) -> None:
    voxels, mask = brain
    assert np.array_equal(normalized(voxels, mask, "as-is", STANDARD), voxels)


def test_a_brain_of_one_value_is_refused() -> None:
    flat = np.ones((9, 9, 9), np.float32)
    with pytest.raises(ScanError, match="same value"):
        normalized(flat, flat > 0, "z-score", STANDARD)


def test_a_brain_of_hardly_a_second_value_has_no_histogram() -> None:
    flat = np.ones((30, 30, 30), np.float32)
    flat[0, 0, 0] = 2
    with pytest.raises(ScanError, match="same value"):
        normalized(flat, flat > 0, "histogram", STANDARD)


def test_where_white_matter_is_the_smaller_peak_it_is_found_still() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(55, 5, 9000), rng.normal(90, 4, 4000)])
    assert white_peak(values.astype(np.float32)) == pytest.approx(90, abs=3)
