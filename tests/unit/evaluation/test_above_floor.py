"""Whether a model is better than what needs no model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vit_dementia.evaluation.above_floor import compare_with_floors
from vit_dementia.evaluation.rows import Rows


def rows_of(skill, *, rng, n=60):
    label = np.arange(n) % 2
    logit = rng.normal(size=n) + skill * (2 * label - 1)
    risk = 1 / (1 + np.exp(-logit))
    return Rows(
        classes=("CN", "AD"),
        label=label,
        probability=np.stack([1 - risk, risk], axis=1),
        predicted=(risk > 0.5).astype(int),
        participant=np.arange(n).astype(str),
        num_scans=np.ones(n, int),
        positive=("AD",),
    )


def constant(n=60):
    """Tell everybody the same."""
    rows = rows_of(0, rng=np.random.default_rng(0), n=n)
    told = np.full((n, 2), 0.5)
    return Rows(
        **(rows.__dict__ | {"probability": told, "predicted": np.zeros(n, int)})
    )


@pytest.mark.slow
def test_a_model_that_knows_nothing_is_hardly_ever_called_above_the_floor():
    verdicts = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        floors = {"majority": constant(), "linear": rows_of(0, rng=rng)}
        found = compare_with_floors(rows_of(0, rng=rng), floors, seed=seed)
        verdicts.append(found["auroc"]["verdict"])
    assert verdicts.count("above the floor") <= 4


def test_a_model_that_knows_much_is_always_called_above_the_floor():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        floors = {"majority": constant(), "linear": rows_of(0.3, rng=rng)}
        found = compare_with_floors(rows_of(1.5, rng=rng), floors, seed=seed)
        assert found["auroc"]["verdict"] == "above the floor"
        assert found["auroc"]["floor"] == "linear"


def test_without_floors_there_is_no_verdict():
    assert compare_with_floors(constant(), {}, seed=0) == {}


def test_scores_that_are_undefined_are_not_compared():
    one_side = constant()
    one_side = Rows(**(one_side.__dict__ | {"label": np.zeros(60, int)}))
    found = compare_with_floors(one_side, {"majority": one_side}, seed=0)
    assert set(found) == {"accuracy"}
    assert found["accuracy"]["verdict"] == "not above the floor"


@pytest.mark.slow
def test_permuted_labels_are_not_above_the_floor_in_36_of_40_seeds():
    """Predictions stay; labels are dealt out anew among the participants scored."""
    rng = np.random.default_rng(0)
    n = 84  # as many as the demo scores
    label = np.arange(n) % 3

    def rows(skill):
        odds = np.exp(rng.normal(size=(n, 3)) + skill * np.eye(3)[label])
        probability = odds / odds.sum(axis=1, keepdims=True)
        return Rows(
            classes=("none", "very mild", "mild"),
            label=label,
            probability=probability,
            predicted=probability.argmax(axis=1),
            participant=np.arange(n).astype(str),
            num_scans=np.ones(n, int),
            positive=("very mild", "mild"),
        )

    model, linear, neighbor = rows(3.0), rows(0.5), rows(0.2)
    majority = replace(
        model, probability=np.full((n, 3), 1 / 3), predicted=np.ones(n, int)
    )
    floors = {"majority": majority, "linear": linear, "neighbor": neighbor}
    true = compare_with_floors(model, floors, seed=0)
    assert true["auroc"]["verdict"] == "above the floor"
    verdicts = []
    for seed in range(40):
        dealt = np.random.default_rng(seed).permutation(label)
        found = compare_with_floors(
            replace(model, label=dealt),
            {name: replace(floor, label=dealt) for name, floor in floors.items()},
            seed=seed,
        )
        verdicts.append(found["auroc"]["verdict"])
    assert verdicts.count("above the floor") <= 4
