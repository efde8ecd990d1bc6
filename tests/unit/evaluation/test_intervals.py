"""Intervals against SciPy, closed forms and simulated truth."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vit_dementia.evaluation import intervals, weighted
from vit_dementia.evaluation.intervals import People
from vit_dementia.evaluation.metrics import UndefinedScoreError


def two_groups(each=30, auroc=0.8, seed=0):
    rng = np.random.default_rng(seed)
    is_positive = np.arange(2 * each) < each
    score = rng.normal(size=2 * each)
    score[is_positive] += np.sqrt(2) * stats.norm.ppf(auroc)
    return is_positive, score


@given(st.integers(1, 300), st.data())
def test_wilson_equals_scipy(total, data):
    found = data.draw(st.integers(0, total))
    ours = intervals.wilson(found, total)
    theirs = stats.binomtest(found, total).proportion_ci(method="wilson")
    assert ours.low == pytest.approx(theirs.low, abs=1e-12)
    assert ours.high == pytest.approx(theirs.high, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_delong_equals_the_sum_over_pairs(seed):
    rng = np.random.default_rng(seed)
    is_positive = rng.permutation(np.arange(17) < 7)
    scores = rng.integers(6, size=(2, 17)).astype(float)  # many ties
    positive, negative = scores[:, is_positive, None], scores[:, None, ~is_positive]
    wins = (positive > negative) + 0.5 * (positive == negative)
    expected = np.cov(wins.mean(axis=2)) / 7 + np.cov(wins.mean(axis=1)) / 10
    np.testing.assert_allclose(
        intervals.delong_variance(is_positive, scores), expected, atol=1e-12
    )


def test_a_perfect_auroc_still_has_a_lower_end():
    is_positive = np.arange(20) < 10
    interval = intervals.delong_logit(is_positive, is_positive.astype(float))
    assert interval.method == "Newcombe"
    assert 0.75 < interval.low < 0.9
    assert interval.high == 1
    turned = intervals.delong_logit(~is_positive, is_positive.astype(float))
    assert turned.high == pytest.approx(1 - interval.low)


@given(st.floats(0.05, 0.95), st.integers(2, 200), st.integers(2, 200))
def test_newcombe_holds_its_value_and_turns_with_it(value, positives, negatives):
    interval = intervals.newcombe(value, positives, negatives)
    assert 0 < interval.low < value < interval.high < 1
    turned = intervals.newcombe(1 - value, positives, negatives)
    assert turned.low == pytest.approx(1 - interval.high, abs=1e-6)


def test_bootstrap_and_bca_of_a_mean_equal_scipy():
    values = np.random.default_rng(0).exponential(size=25)
    people = People.of([f"{i:02d}" for i in range(25)])

    def kernel(weights):
        return weighted.mean_of(values, weights)

    drawn = intervals.bootstrap(kernel, people, seed=0, replicates=40_000)
    for ours, method in [
        (intervals.percentile(drawn), "percentile"),
        (intervals.bca(kernel, people, drawn), "BCa"),
    ]:
        theirs = stats.bootstrap(
            (values,), np.mean, n_resamples=40_000, method=method, rng=1
        ).confidence_interval
        assert ours.low == pytest.approx(theirs.low, abs=0.012)
        assert ours.high == pytest.approx(theirs.high, abs=0.012)


def test_bca_of_two_classes_equals_scipys_of_two_samples():
    is_positive, score = two_groups(each=20, auroc=0.9)
    people = People.of([f"{i:02d}" for i in range(40)], is_positive.tolist())

    def kernel(weights):
        return weighted.auroc(is_positive, score, weights)

    def mann_whitney(positive, negative, axis):
        assert axis == -1
        pairs = positive[..., :, None] - negative[..., None, :]
        return ((pairs > 0) + 0.5 * (pairs == 0)).mean(axis=(-1, -2))

    drawn = intervals.bootstrap(kernel, people, seed=0, replicates=20_000)
    ours = intervals.bca(kernel, people, drawn)
    theirs = stats.bootstrap(
        (score[is_positive], score[~is_positive]),
        mann_whitney,
        n_resamples=20_000,
        batch=2000,
        rng=1,
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.008)
    assert ours.high == pytest.approx(theirs.high, abs=0.008)


def test_scans_of_one_participant_come_and_go_together():
    ids = np.array(["b", "a", "c", "a", "b", "a"])
    people = People.of(ids.tolist())
    seen = []

    def kernel(weights):
        seen.append(weights)
        return weights.sum(axis=1)

    intervals.bootstrap(kernel, people, seed=0, replicates=50)
    weights = np.concatenate(seen)
    for name in "abc":
        assert (np.ptp(weights[:, ids == name], axis=1) == 0).all()
    assert (weights[:, :3].sum(axis=1) == 3).all()  # three people drawn each time


def test_copies_of_a_scan_do_not_narrow_the_interval():
    is_positive, score = two_groups()
    ids = np.array([f"{i:02d}" for i in range(60)])

    def interval(copies):
        labels, scores = np.repeat(is_positive, copies), np.repeat(score, copies)
        people = People.of(np.repeat(ids, copies).tolist(), labels.tolist())
        drawn = intervals.bootstrap(
            lambda weights: weighted.auroc(labels, scores, weights), people, seed=3
        )
        return intervals.percentile(drawn)

    once, often = interval(1), interval(8)
    assert often.low == pytest.approx(once.low)
    assert often.high == pytest.approx(once.high)


def test_drawing_within_strata_keeps_their_sizes():
    stratum = np.array([0, 1, 1, 0, 1, 2])
    weights = intervals.draw(stratum, replicates=99, rng=np.random.default_rng(0))
    for group, size in enumerate([2, 3, 1]):
        assert (weights[:, stratum == group].sum(axis=1) == size).all()


def test_memory_limits_do_not_change_the_answer(monkeypatch):
    is_positive, score = two_groups()
    people = People.of([f"{i:02d}" for i in range(60)], is_positive.tolist())

    def ends():
        def kernel(weights):
            return weighted.auroc(is_positive, score, weights)

        drawn = intervals.bootstrap(kernel, people, seed=0, replicates=500)
        return intervals.bca(kernel, people, drawn)

    whole = ends()
    monkeypatch.setattr(intervals, "_CELLS_AT_ONCE", 700)
    in_parts = ends()
    assert in_parts.low == pytest.approx(whole.low, abs=0.02)
    assert in_parts.high == pytest.approx(whole.high, abs=0.02)


def test_no_interval_is_invented():
    with pytest.raises(UndefinedScoreError, match="same score"):
        intervals.percentile(np.ones(100))
    with pytest.raises(UndefinedScoreError, match="10% of the resamples"):
        intervals.percentile(np.array([np.nan, *range(9)]))
    with pytest.raises(UndefinedScoreError, match="one participant"):
        intervals.newcombe(1.0, 1, 10)
    with pytest.raises(UndefinedScoreError, match="one participant"):
        intervals.delong_variance(np.array([True, False, False]), np.zeros((1, 3)))
    with pytest.raises(UndefinedScoreError, match="share of nothing"):
        intervals.wilson(0, 0)


def test_two_thousand_resamples_of_150_people_take_well_under_a_second():
    is_positive, score = two_groups(each=75)
    people = People.of([f"{i:03d}" for i in range(150)], is_positive.tolist())
    start = time.perf_counter()
    drawn = intervals.bootstrap(
        lambda weights: weighted.auroc(is_positive, score, weights), people, seed=0
    )
    intervals.percentile(drawn)
    assert time.perf_counter() - start < 0.8
