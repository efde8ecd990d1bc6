"""AUROC over folds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from vit_dementia.evaluation.folds import auroc_within_folds
from vit_dementia.evaluation.metrics import UndefinedScoreError

seeds = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_it_is_the_mean_of_scikit_learns_aurocs_weighted_by_pairs(seed):
    rng = np.random.default_rng(seed)
    fold = np.concatenate([rng.integers(4, size=60), np.repeat(np.arange(4), 2)])
    is_positive = np.concatenate([rng.random(60) < 0.3, np.tile([True, False], 4)])
    score = rng.integers(10, size=68) / 10
    each, pairs = [], []
    for name in range(4):
        mine = fold == name
        each.append(roc_auc_score(is_positive[mine], score[mine]))
        pairs.append(is_positive[mine].sum() * (~is_positive[mine]).sum())
    assert auroc_within_folds(is_positive, score, fold) == pytest.approx(
        np.average(each, weights=pairs)
    )


@given(seeds)
def test_the_scale_of_a_fold_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    fold, is_positive = np.arange(40) % 4, np.arange(40) % 8 < 4
    score = rng.normal(size=40)
    moved = score * (1.0 + fold) + 10 * fold
    value = auroc_within_folds(is_positive, score, fold)
    assert auroc_within_folds(is_positive, moved, fold) == pytest.approx(value)


def test_one_class_in_every_fold_is_undefined():
    is_positive, fold = np.array([True, False]), np.array(["one", "two"])
    with pytest.raises(UndefinedScoreError, match="no fold holds both"):
        auroc_within_folds(is_positive, np.array([0.1, 0.2]), fold)
