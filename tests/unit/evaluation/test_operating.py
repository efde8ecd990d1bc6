"""Thresholds and what they are worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, roc_curve

from vit_dementia.evaluation.metrics import UndefinedScoreError
from vit_dementia.evaluation.operating import (
    net_benefit,
    net_benefit_of_flagging_all,
    predictive_values,
    sensitivity_at_specificity,
    threshold_for_specificity,
)

seeds = st.integers(0, 2**32 - 1)


def case(seed, n=40):
    rng = np.random.default_rng(seed)
    is_positive = rng.permutation(np.arange(n) % 3 == 0)
    return is_positive, rng.integers(0, 15, size=n) / 15


@given(seeds, st.sampled_from([0.5, 0.8, 0.9, 0.95]))
def test_sensitivity_at_specificity_is_the_best_point_of_the_roc_curve(seed, wanted):
    is_positive, score = case(seed)
    x, y, _ = roc_curve(is_positive, score, drop_intermediate=False)
    expected = y[1 - x >= wanted - 1e-9].max()
    found = sensitivity_at_specificity(is_positive, score, specificity=wanted)
    assert found == pytest.approx(expected)
    threshold = threshold_for_specificity(is_positive, score, specificity=wanted)
    assert (score[~is_positive] <= threshold).mean() >= wanted - 1e-9


@given(st.floats(0.05, 1), st.floats(0.05, 0.95), st.floats(0.01, 0.99))
def test_predictive_values_are_shares_of_a_big_crowd(found, cleared, prevalence):
    ppv, npv = predictive_values(found, cleared, prevalence=prevalence)
    table = np.array(
        [
            [prevalence * found, prevalence * (1 - found)],
            [(1 - prevalence) * (1 - cleared), (1 - prevalence) * cleared],
        ]
    )
    assert ppv == pytest.approx(table[0, 0] / table[:, 0].sum())
    assert npv == pytest.approx(table[1, 1] / table[:, 1].sum())


@given(seeds, st.floats(0.01, 0.99))
def test_net_benefit_is_that_of_the_confusion_matrix(seed, threshold):
    is_positive, score = case(seed)
    told = score > threshold
    (_, alarms), (_, hits) = confusion_matrix(is_positive, told, labels=[False, True])
    expected = hits / 40 - alarms / 40 * threshold / (1 - threshold)
    assert net_benefit(is_positive, score, np.array([threshold]))[0] == pytest.approx(
        expected
    )


def test_flagging_all_is_a_model_that_is_always_sure():
    is_positive, _ = case(0)
    thresholds = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(
        net_benefit(is_positive, np.ones(40), thresholds),
        net_benefit_of_flagging_all(float(is_positive.mean()), thresholds),
    )


def test_what_no_data_define_says_why():
    nobody, everybody = np.zeros(2, bool), np.ones(2, bool)
    score = np.array([0.1, 0.9])
    with pytest.raises(UndefinedScoreError, match="no negatives"):
        threshold_for_specificity(everybody, score, specificity=0.9)
    with pytest.raises(UndefinedScoreError, match="no positives"):
        sensitivity_at_specificity(nobody, score, specificity=0.9)
    with pytest.raises(UndefinedScoreError, match="flagged"):
        predictive_values(0.0, 1.0, prevalence=0.1)
    with pytest.raises(UndefinedScoreError, match="cleared"):
        predictive_values(1.0, 0.0, prevalence=0.1)
    with pytest.raises(ValueError, match="prevalence"):
        predictive_values(1.0, 1.0, prevalence=0.0)
    with pytest.raises(ValueError, match="thresholds"):
        net_benefit(nobody, score, np.array([1.0]))
