"""Every score under weights is the score of repeated rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vit_dementia.evaluation.measures import CALIBRATION, MEASURES, measures_of_class
from vit_dementia.evaluation.metrics import UndefinedScoreError
from vit_dementia.evaluation.rows import Rows

EVERY = {**MEASURES, **CALIBRATION, **measures_of_class(1)}


def rows_of(n=60, *, folds=None, seed=0):
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 3
    probability = rng.dirichlet(np.ones(3), size=n).round(2) + 1e-3
    probability = probability + 0.3 * np.eye(3)[label]
    probability /= probability.sum(axis=1, keepdims=True)
    return Rows(
        classes=("CN", "very mild", "mild"),
        label=label,
        probability=probability,
        predicted=probability.argmax(axis=1),
        participant=np.arange(n).astype(str),
        num_scans=np.ones(n, int),
        positive=("very mild", "mild"),
        fold=None if folds is None else np.arange(n) % folds,
    )


def repeated(rows, count):
    """Write each row as often as it counts."""
    chosen = np.repeat(np.arange(len(rows.label)), count)
    return replace(
        rows,
        label=rows.label[chosen],
        probability=rows.probability[chosen],
        predicted=rows.predicted[chosen],
        participant=np.arange(len(chosen)).astype(str),
        num_scans=rows.num_scans[chosen],
        fold=None if rows.fold is None else rows.fold[chosen],
    )


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("folds", [None, 4])
def test_a_weight_counts_like_that_many_rows(name, folds):
    rows, measure = rows_of(folds=folds), EVERY[name]
    counts = np.random.default_rng(1).integers(0, 4, size=(6, 60))
    found = measure.formula(rows, counts.astype(float))
    for value, count in zip(found, counts, strict=True):
        expected = measure.value(repeated(rows, count))
        assert value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_no_rows_are_no_number(name):
    empty = repeated(rows_of(), np.zeros(60, int))
    with pytest.raises(UndefinedScoreError):
        EVERY[name].value(empty)


@pytest.mark.parametrize("name", EVERY)
def test_where_nobody_was_drawn_a_score_is_undefined(name):
    assert np.isnan(EVERY[name].formula(rows_of(), np.zeros((1, 60)))).all()


@pytest.mark.parametrize("name", MEASURES)
def test_the_same_seed_gives_the_same_interval(name):
    rows = rows_of()
    one, again = (MEASURES[name].interval(rows, seed=3) for _ in range(2))
    assert one == again
    assert one.low < MEASURES[name].value(rows) < one.high


def test_how_people_were_drawn_is_said():
    def method(name, rows):
        return MEASURES[name].interval(rows, seed=0).method

    rows, folds = rows_of(), rows_of(folds=4)
    assert method("auroc", rows) == "BCa bootstrap over participants within classes"
    assert method("macro_f1", rows) == "percentile bootstrap over participants"
    assert method("macro_f1", folds) == (
        "percentile bootstrap over participants within folds, "
        "conditional on the trained models"
    )
    assert method("accuracy", folds) == "Wilson, conditional on the trained models"
    unknown = replace(rows, participants_known=False)
    assert method("brier", unknown) == "percentile bootstrap over images"
