"""Whether probabilities mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from sklearn.linear_model import LogisticRegression

from vit_dementia.evaluation import metrics
from vit_dementia.evaluation.calibration import (
    calibration_error,
    fit_temperature,
    reliability,
    slope_and_intercept,
    weighted_lines,
    with_temperature,
)
from vit_dementia.evaluation.metrics import UndefinedScoreError

seeds = st.integers(0, 2**32 - 1)


def calibrated(seed, n=4000, k=3):
    """Draw labels from the probabilities themselves."""
    rng = np.random.default_rng(seed)
    probability = special.softmax(1.5 * rng.normal(size=(n, k)), axis=1)
    label = (
        (probability.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=k - 1)
    )
    return label, probability


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_a_distortion_by_temperature_is_found_and_undone(temperature):
    label, probability = calibrated(0)
    distorted = with_temperature(probability, 1 / temperature)
    found = fit_temperature(label, distorted)
    assert found == pytest.approx(temperature, rel=0.06)
    np.testing.assert_allclose(
        with_temperature(distorted, found), probability, atol=0.03
    )


@settings(deadline=None, max_examples=25)
@given(seeds)
def test_a_temperature_never_worsens_the_loss_it_was_fitted_on(seed):
    label, probability = calibrated(seed, n=25)
    if len(np.unique(label)) < 2:
        return
    mended = with_temperature(probability, fit_temperature(label, probability))
    assert (
        metrics.log_loss(label, mended) <= metrics.log_loss(label, probability) + 1e-9
    )
    np.testing.assert_array_equal(mended.argmax(axis=1), probability.argmax(axis=1))


def test_slope_and_intercept_equal_an_unpenalized_regression():
    label, probability = calibrated(1, n=300, k=2)
    score = with_temperature(probability, 0.5)[:, 1]
    slope, intercept = slope_and_intercept(label > 0, score)
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(
        special.logit(score)[:, None], label
    )
    assert slope == pytest.approx(theirs.coef_[0, 0], rel=1e-3)
    assert intercept == pytest.approx(theirs.intercept_[0], abs=1e-3)
    assert slope < 0.7  # too extreme


def test_weights_count_like_repeated_rows():
    label, probability = calibrated(3, n=80, k=2)
    counts = np.random.default_rng(0).integers(0, 4, size=(5, 80))
    found = weighted_lines(label > 0, probability[:, 1], counts.astype(float))
    for line, count in zip(found, counts, strict=True):
        repeated = np.repeat(np.arange(80), count)
        expected = slope_and_intercept(label[repeated] > 0, probability[repeated, 1])
        assert line == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_calibrated_probabilities_have_slope_one():
    label, probability = calibrated(2, k=2)
    slope, intercept = slope_and_intercept(label > 0, probability[:, 1])
    assert slope == pytest.approx(1, abs=0.1)
    assert intercept == pytest.approx(0, abs=0.1)


def test_few_participants_are_not_taken_for_bad_calibration():
    squares, plain = [], []
    for seed in range(200):
        label, probability = calibrated(seed, n=100, k=2)
        squares.append(calibration_error(label > 0, probability[:, 1]) ** 2)
        gaps = np.array_split(np.argsort(probability[:, 1]), 10)
        plain.append(
            np.mean([(label[g].mean() - probability[g, 1].mean()) ** 2 for g in gaps])
        )
    assert np.mean(squares) < 0.5 * np.mean(plain)


def test_a_gap_is_found():
    rng = np.random.default_rng(0)
    is_positive = rng.random(5000) < 0.5
    assert calibration_error(is_positive, np.full(5000, 0.7)) == pytest.approx(
        0.2, abs=0.02
    )


@pytest.mark.parametrize(
    ("is_positive", "score", "why"),
    [
        ([True, True], [0.1, 0.9], "one side"),
        ([True, False], [0.5, 0.5], "same probability"),
        ([True, True, False], [0.8, 0.9, 0.1], "do not overlap"),
    ],
)
def test_a_slope_that_no_data_define_says_why(is_positive, score, why):
    with pytest.raises(UndefinedScoreError, match=why):
        slope_and_intercept(np.array(is_positive), np.array(score))


def test_one_class_cannot_calibrate():
    with pytest.raises(UndefinedScoreError, match="one class"):
        fit_temperature(np.zeros(4, int), np.full((4, 2), 0.5))


@given(seeds, st.integers(2, 12))
def test_every_row_stands_in_one_bin(seed, num_bins):
    label, probability = calibrated(seed, n=60, k=2)
    bins = reliability(label > 0, probability[:, 1].round(1), num_bins=num_bins)
    assert sum(b.num_rows for b in bins) == 60
    assert len(bins) <= num_bins
    assert sum(b.share * b.num_rows for b in bins) == pytest.approx(label.sum())
    middles = [b.mean_score for b in bins]
    assert middles == sorted(middles)
    for found in bins:
        assert found.interval.low <= found.share <= found.interval.high


def test_a_constant_score_is_one_bin():
    (only,) = reliability(np.array([True, False]), np.array([0.3, 0.3]))
    assert (only.mean_score, only.share, only.num_rows) == (0.3, 0.5, 2)


def test_no_line_fits_where_everybody_was_told_the_same():
    is_positive = np.arange(12) % 2 == 0
    weights = np.ones((2, 24))
    weights[0, 12:] = 0  # only those who were told 2/3 are drawn
    score = np.repeat([2 / 3, 0.2], 12)
    lines = weighted_lines(np.tile(is_positive, 2), score, weights)
    assert np.isnan(lines[0]).all()
    assert not np.isnan(lines[1]).any()
    with pytest.raises(UndefinedScoreError, match="the same probability"):
        slope_and_intercept(is_positive, np.full(12, 2 / 3) + 1e-16 * is_positive)
