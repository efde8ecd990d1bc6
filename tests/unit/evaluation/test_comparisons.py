"""Two models on the same participants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vit_dementia.evaluation.comparisons import delong_difference, holm, mcnemar
from vit_dementia.evaluation.metrics import UndefinedScoreError, auroc

seeds = st.integers(0, 2**32 - 1)


def two_scores(seed, each=40, shift=0.0):
    rng = np.random.default_rng(seed)
    is_positive = np.arange(2 * each) < each
    shared = rng.normal(size=2 * each) + 1.2 * is_positive
    first = shared + 0.5 * rng.normal(size=2 * each) + shift * is_positive
    return is_positive, first, shared + 0.5 * rng.normal(size=2 * each)


@settings(deadline=None)
@given(seeds)
def test_a_difference_turns_with_its_models(seed):
    is_positive, first, second = two_scores(seed)
    one = delong_difference(is_positive, first, second)
    other = delong_difference(is_positive, second, first)
    assert one.value == pytest.approx(
        auroc(is_positive, first) - auroc(is_positive, second)
    )
    assert one.value == pytest.approx(-other.value)
    assert one.p_value == pytest.approx(other.p_value)
    excludes_zero = not one.interval.low <= 0 <= one.interval.high
    assert excludes_zero == (one.p_value < 0.05)


@pytest.mark.slow
def test_equal_models_are_called_different_one_time_in_twenty():
    p_values = [delong_difference(*two_scores(seed)).p_value for seed in range(800)]
    assert 0.03 < np.mean(np.array(p_values) < 0.05) < 0.075
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_a_better_model_is_found_more_often_by_pairing():
    is_positive, first, second = two_scores(0, each=60, shift=0.6)
    assert delong_difference(is_positive, first, second).p_value < 0.05


def test_models_that_order_everybody_alike_have_no_difference():
    is_positive, first, _ = two_scores(0)
    with pytest.raises(UndefinedScoreError, match="alike"):
        delong_difference(is_positive, first, np.exp(first))


@given(seeds)
def test_mcnemar_is_the_sign_test_of_the_discordant(seed):
    first, second = np.random.default_rng(seed).random((2, 30)) < [[0.7], [0.5]]
    found = mcnemar(first, second)
    assert found.only_first == (first & ~second).sum()
    assert found.only_second == (second & ~first).sum()
    low, total = min(found.only_first, found.only_second), (first ^ second).sum()
    expected = min(1, 2 * stats.binom.cdf(low, total, 0.5)) if total else 1
    assert found.p_value == pytest.approx(expected)


def test_models_right_about_the_same_people_do_not_differ():
    assert mcnemar(np.array([True, False]), np.array([True, False])).p_value == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_and_keeps_the_order(p_values):
    corrected = holm(p_values)
    assert (corrected >= np.array(p_values) - 1e-15).all()
    assert (corrected <= 1).all()
    assert (np.diff(corrected[np.argsort(p_values, kind="stable")]) >= 0).all()
    assert corrected.min() == pytest.approx(min(1, min(p_values) * len(p_values)))
