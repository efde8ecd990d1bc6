from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vit_dementia.audit.telling import (
    CHANCE,
    discriminant,
    held_out_scores,
    interval_of,
    tell,
)

LEVEL = 0.995


def groups(each: int) -> np.ndarray:
    return np.arange(2 * each) < each


def test_one_number_needs_no_fit_and_no_direction() -> None:
    rng = np.random.default_rng(0)
    number = rng.normal(size=(60, 1)) + groups(30)[:, None]
    told = tell(number, groups(30), level=LEVEL, seed=0)
    assert told.auroc == pytest.approx(roc_auc_score(groups(30), number[:, 0]))
    assert tell(-number, groups(30), level=LEVEL, seed=0) == told
    assert told.low < told.auroc < told.high


def test_what_is_the_same_in_everybody_tells_nothing() -> None:
    assert tell(np.ones((20, 3)), groups(10), level=LEVEL, seed=0) == CHANCE


def test_several_numbers_are_scored_on_people_that_were_not_learned_from() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 30))  # enough to fit any label by heart
    told = tell(noise, groups(20), level=LEVEL, seed=0)
    assert told.low < 0.5
    assert told.auroc < 0.75


def test_held_out_scores_find_what_only_two_numbers_together_tell() -> None:
    rng = np.random.default_rng(0)
    shared = 5 * rng.normal(size=200)
    numbers = np.stack([shared, shared + groups(100) + rng.normal(size=200) / 5], 1)
    scores = held_out_scores(numbers, groups(100), seed=0)
    assert roc_auc_score(groups(100), scores) > 0.95
    assert roc_auc_score(groups(100), numbers[:, 1]) < 0.65


def test_the_discriminant_orders_people_as_scikit_learns_ridge_does() -> None:
    rng = np.random.default_rng(0)
    side = np.arange(50) < 15
    numbers = rng.normal(size=(50, 4)) * [1, 10, 100, 1] + side[:, None]
    theirs = make_pipeline(StandardScaler(), RidgeClassifier(class_weight="balanced"))
    expected = theirs.fit(numbers, side).decision_function(numbers)
    np.testing.assert_allclose(discriminant(numbers, side, numbers), expected)


@given(st.integers(5, 40), st.integers(5, 40))
def test_perfect_order_has_no_worse_an_end_than_nearly_perfect(positives, negatives):
    is_positive = np.arange(positives + negatives) < positives
    score = -np.arange(positives + negatives, dtype=np.float64)
    perfect = interval_of(is_positive, score, level=LEVEL)
    score[positives - 1] = score[positives]
    nearly = interval_of(is_positive, score, level=LEVEL)
    assert perfect.auroc == perfect.high == 1.0
    assert perfect.low >= nearly.low


def test_perfect_order_is_worth_the_same_with_and_without_ties() -> None:
    binary = interval_of(groups(10), groups(10).astype(float), level=LEVEL)
    ordered = interval_of(groups(10), -np.arange(20.0), level=LEVEL)
    assert binary == ordered


def test_few_people_are_no_proof() -> None:
    assert interval_of(groups(5), -np.arange(10.0), level=LEVEL).low < 0.6


def test_adjusted_intervals_are_above_chance_as_rarely_as_they_say() -> None:
    rng = np.random.default_rng(0)
    side = np.arange(30) < 12
    lows = [
        tell(rng.normal(size=(30, 1)), side, level=0.95, seed=0).low for _ in range(400)
    ]
    assert np.mean(np.array(lows) > 0.5) < 0.08
