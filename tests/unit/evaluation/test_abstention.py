"""Prediction sets and risk against coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from vit_dementia.evaluation import abstention
from vit_dementia.evaluation.abstention import (
    conformal_threshold,
    coverage,
    cross_conformal_sets,
    fewest_for,
    prediction_sets,
    risk_coverage,
    strangeness,
)
from vit_dementia.evaluation.metrics import UndefinedScoreError


def people(rng, n, k=3):
    label = rng.integers(k, size=n)
    logits = rng.normal(size=(n, k)) + np.eye(k)[label]
    return label, special.softmax(3 * logits, axis=1)  # too sure of itself


@pytest.mark.parametrize(("n", "level"), [(19, 0.9), (40, 0.9), (60, 0.8)])
def test_sets_hold_the_truth_as_often_as_asked(n, level):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(600):
        label, told = people(rng, n)
        threshold = conformal_threshold(strangeness(label, told), level=level)
        label, told = people(rng, 50)
        found.append(coverage(prediction_sets(told, threshold), label))
    exact = np.ceil(round((n + 1) * level, 9)) / (n + 1)  # without ties
    assert np.mean(found) == pytest.approx(exact, abs=0.012)
    assert np.mean(found) >= level - 0.012


def test_with_one_fold_cross_conformal_sets_are_the_plain_ones():
    rng = np.random.default_rng(1)
    label, told = people(rng, 30)
    strange = strangeness(label, told)
    _, asked = people(rng, 20)
    crossed = cross_conformal_sets(strange, np.zeros(30, int), asked[None], level=0.9)
    plain = prediction_sets(asked, conformal_threshold(strange, level=0.9))
    np.testing.assert_array_equal(crossed, plain)


def test_cross_conformal_sets_hold_the_truth_too():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(200):
        label, told = people(rng, 60)
        fold = np.arange(60) % 5
        asked_label, asked = people(rng, 40)
        folds = np.stack([asked] * 5)  # five models that happen to agree
        sets = cross_conformal_sets(strangeness(label, told), fold, folds, level=0.9)
        found.append(coverage(sets, asked_label))
    assert np.mean(found) == pytest.approx(55 / 61, abs=0.015)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95, 0.99])
def test_too_few_participants_cannot_calibrate(level):
    enough = fewest_for(level)
    conformal_threshold(np.zeros(enough), level=level)
    with pytest.raises(UndefinedScoreError, match="cannot calibrate at this level"):
        conformal_threshold(np.zeros(enough - 1), level=level)


def test_a_level_is_a_share():
    with pytest.raises(ValueError, match="level"):
        conformal_threshold(np.zeros(9), level=1.0)


@given(st.integers(0, 2**32 - 1))
def test_answering_everybody_has_the_error_of_everybody(seed):
    rng = np.random.default_rng(seed)
    right, confidence = rng.random(30) < 0.7, rng.integers(8, size=30) / 8
    answered, wrong = risk_coverage(right, confidence)
    assert answered[-1] == 1
    assert wrong[-1] == pytest.approx(1 - right.mean())
    order = rng.permutation(30)  # ties give no order away
    again = risk_coverage(right[order], confidence[order])
    np.testing.assert_allclose(again[1], wrong)


def test_sets_by_the_others_are_those_of_a_threshold_without_oneself():
    rng = np.random.default_rng(3)
    label = rng.integers(3, size=25)
    probability = rng.dirichlet(np.ones(3), size=25).round(1)  # with ties
    probability[:, 0] = 1 - probability[:, 1:].sum(axis=1)
    found = abstention.sets_by_the_others(label, probability, level=0.8)
    strange = abstention.strangeness(label, probability)
    for person in range(25):
        threshold = abstention.conformal_threshold(
            np.delete(strange, person), level=0.8
        )
        mine = abstention.prediction_sets(probability[[person]], threshold)[0]
        assert found[person].tolist() == mine.tolist()
    with pytest.raises(UndefinedScoreError, match="cannot calibrate"):
        abstention.sets_by_the_others(label[:9], probability[:9], level=0.9)
