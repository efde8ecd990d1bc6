"""Labels dealt out anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from vit_dementia.evaluation import floors, metrics
from vit_dementia.evaluation.permuted import (
    Relearned,
    permuted_labels,
    relearned_labels,
)
from vit_dementia.evaluation.rows import Rows


def rows_of(risk, label, folds=None):
    n = len(label)
    return Rows(
        classes=("CN", "AD"),
        label=label,
        probability=np.stack([1 - risk, risk], axis=1),
        predicted=(risk > 0.5).astype(int),
        participant=np.arange(n).astype(str),
        num_scans=np.ones(n, int),
        positive=("AD",),
        fold=None if folds is None else np.arange(n) % folds,
    )


def test_the_p_value_is_that_of_mann_whitney():
    rng = np.random.default_rng(0)
    label = np.arange(40) % 2
    risk = np.clip(rng.random(40) * 0.8 + 0.15 * label, 0, 1)
    found = permuted_labels(rows_of(risk, label), seed=0, deals=20_000)
    theirs = stats.mannwhitneyu(
        risk[label == 1], risk[label == 0], alternative="greater", method="exact"
    )
    assert found.p_value == pytest.approx(theirs.pvalue, abs=0.01)
    assert found.aurocs.mean() == pytest.approx(0.5, abs=0.005)


def test_folds_are_dealt_within():
    label = np.tile([0, 0, 1, 1], 10)
    folds = np.arange(40) % 2
    rows = replace(rows_of(label * 0.5 + folds * 0.4, label), fold=folds)
    found = permuted_labels(rows, seed=0)
    assert found.p_value == pytest.approx(1 / 2001)
    assert ((found.aurocs >= 0) & (found.aurocs <= 1)).all()


@pytest.mark.slow
def test_blind_scores_are_called_significant_one_time_in_twenty():
    rng = np.random.default_rng(0)
    label = np.arange(30) % 2
    p_values = [
        permuted_labels(rows_of(rng.random(30), label, 3), seed=s, deals=199).p_value
        for s in range(400)
    ]
    assert 0.02 < np.mean(np.array(p_values) <= 0.05) < 0.085


def test_several_rows_of_a_participant_are_refused():
    rows = rows_of(np.array([0.1, 0.9, 0.2]), np.array([0, 1, 0]))
    with pytest.raises(ValueError, match="pool"):
        permuted_labels(replace(rows, participant=np.array(["a", "a", "b"])), seed=0)


def test_relearned_aurocs_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    label = np.arange(30) % 2
    rows = rows_of(rng.random(30), label)
    told = rng.dirichlet([1, 1], size=(7, 30)).round(1)  # with ties
    found = relearned_labels(rows, told)
    theirs = [roc_auc_score(label, one[:, 1]) for one in told]
    np.testing.assert_allclose(found.aurocs, theirs)
    reached = sum(value >= metrics.auroc(label == 1, rows.score) for value in theirs)
    assert found.p_value == pytest.approx((1 + reached) / 8)


def test_relearned_pairs_are_compared_within_folds():
    rng = np.random.default_rng(0)
    label, fold = np.arange(40) // 2 % 2, np.arange(40) % 2
    rows = replace(rows_of(rng.random(40), label), fold=fold)
    told = rng.dirichlet([1, 1], size=(5, 40))
    apart = told.copy()
    apart[:, fold == 1, 1] += 10  # folds need not share a scale
    np.testing.assert_allclose(
        relearned_labels(rows, apart).aurocs, relearned_labels(rows, told).aurocs
    )


def test_what_was_relearned_is_found_by_name_over_folds():
    rng = np.random.default_rng(0)
    first, second = rng.random((3, 2, 2)), rng.random((3, 1, 2))
    both = Relearned.together([Relearned(("b", "a"), first), Relearned(("c",), second)])
    np.testing.assert_array_equal(
        both.of(["c", "b"]), np.stack([second[:, 0], first[:, 0]], axis=1)
    )


def linear_null(seed, *, signal):
    """Teach the linear floor true and permuted labels of 150 people."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(150) % 2)
    features = rng.normal(size=(150, 60)) + signal * label[:, None]
    known, asked = slice(0, 100), slice(100, None)
    told = floors.linear(features[known], label[known], features[asked], num_classes=2)
    again = floors.linear_of_permuted_labels(
        features[known],
        label[known],
        features[asked],
        num_classes=2,
        rng=rng,
        refits=50,
    )
    return relearned_labels(rows_of(told[:, 1], label[asked]), again)


def test_a_floor_with_signal_leaves_what_permuted_labels_teach_behind():
    null = linear_null(0, signal=0.4)
    assert null.p_value == pytest.approx(1 / 51)
    assert abs(null.aurocs.mean() - 0.5) < 0.1


@pytest.mark.slow
def test_a_floor_without_signal_does_not():
    p_values = [linear_null(seed, signal=0).p_value for seed in range(12)]
    assert np.mean(np.array(p_values) <= 0.1) <= 0.35  # 1.2 of 12 are expected
    assert max(p_values) > 0.3
