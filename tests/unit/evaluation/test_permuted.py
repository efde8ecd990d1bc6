"""Labels dealt out anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from vit_dementia.evaluation.permuted import permuted_labels
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
