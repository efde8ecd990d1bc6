"""The ROC curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve, roc_curve

from vit_dementia.evaluation.abstention import risk_coverage
from vit_dementia.evaluation.curves import decision, precision_recall, risk, roc
from vit_dementia.evaluation.measures import MEASURES
from vit_dementia.evaluation.operating import net_benefit
from vit_dementia.evaluation.rows import Rows

seeds = st.integers(0, 2**32 - 1)


def rows_of(seed, n=60, folds=None):
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(n) % 2)
    risk = np.clip(rng.integers(1, 20, size=n) / 20 + 0.2 * (label - 0.5), 0, 1)
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


@settings(deadline=None, max_examples=10)
@given(seeds)
def test_the_curve_goes_through_scikit_learns_points(seed):
    rows = rows_of(seed)
    curve = roc(rows)
    x, y, _ = roc_curve(rows.is_positive, rows.score, drop_intermediate=False)
    np.testing.assert_allclose(curve.y, np.interp(curve.x, x, y))


@settings(deadline=None, max_examples=10)
@given(seeds, st.sampled_from([None, 4]))
def test_the_area_under_the_curve_is_the_auroc(seed, folds):
    rows = rows_of(seed, n=80, folds=folds)
    curve = roc(rows)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(
        MEASURES["auroc"].value(rows), abs=0.01
    )
    assert (curve.low <= curve.high).all()


@settings(deadline=None, max_examples=10)
@given(seeds)
def test_precision_stands_on_scikit_learns_points(seed):
    rows = rows_of(seed)
    curve = precision_recall(rows)
    precision, recall, _ = precision_recall_curve(rows.is_positive, rows.score)
    for x, y in zip(curve.x[::20], curve.y[::20], strict=True):
        least = recall[recall >= x - 1e-9].min()  # the highest threshold finding x
        same = np.isclose(recall, least)
        assert y == pytest.approx(precision[same].max())


def test_the_decision_curve_is_the_net_benefit():
    rows, thresholds = rows_of(1), np.linspace(0.05, 0.9, 12)
    curve = decision(rows, thresholds)
    expected = net_benefit(rows.is_positive, rows.score, thresholds)
    np.testing.assert_allclose(curve.y, expected)
    assert (curve.low <= curve.y).all()
    assert (curve.y <= curve.high).all()


def test_the_risk_of_answering_everybody_is_the_error():
    rows = rows_of(2)
    curve = risk(rows)
    wrong = (rows.label != rows.predicted).mean()
    assert curve.y[-1] == pytest.approx(wrong)
    answered, risks = risk_coverage(
        rows.label == rows.predicted, rows.probability.max(axis=1)
    )
    half = np.isclose(curve.x, 0.5)
    confidence = np.sort(rows.probability.max(axis=1))[::-1]
    last_of_ties = np.flatnonzero(confidence >= confidence[29])[-1]
    assert curve.y[half][0] == pytest.approx(risks[last_of_ties])
    assert answered[last_of_ties] >= 0.5
