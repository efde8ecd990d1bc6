"""Several runs on the same participants."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vit_dementia.errors import DataError
from vit_dementia.evaluation.comparing import compare
from vit_dementia.evaluation.metrics import accuracy, auroc
from vit_dementia.evaluation.predictions import Predictions

CLASSES = ("CN", "very mild", "mild")


def run_of(skill, *, seed, ids=range(80), images=2):
    """Make a run; participants are as hard for every run."""
    ids = np.array(ids)
    label = ids % 3
    shared = np.random.default_rng(0).normal(size=(200, 3))[ids]
    own = np.random.default_rng(seed).normal(size=(len(ids), 3))
    odds = np.exp(shared + 0.4 * own + skill * np.eye(3)[label])
    return Predictions.from_arrays(
        CLASSES,
        participant_ids=[f"sub-{i:03d}" for i in np.repeat(ids, images)],
        session_ids=["n/a"] * len(ids) * images,
        paths=["n/a"] * len(ids) * images,
        labels=[CLASSES[i] for i in np.repeat(label, images)],
        probabilities=np.repeat(odds / odds.sum(axis=1, keepdims=True), images, axis=0),
    )


def test_differences_are_first_minus_second_and_found():
    runs = {"good": run_of(2.5, seed=1), "bad": run_of(0.0, seed=2)}
    found = compare(runs)
    (pair,) = found["pairs"]
    assert (pair["first"], pair["second"]) == ("good", "bad")
    values = []
    for run in runs.values():
        told = run.by_participant()
        predicted = told.probabilities.argmax(axis=1)
        values.append(
            (
                auroc(told.labels > 0, 1 - told.probabilities[:, 0]),
                accuracy(told.labels, predicted),
            )
        )
    for place, score in enumerate(("auroc", "accuracy")):
        assert pair[score]["difference"]["value"] == pytest.approx(
            values[0][place] - values[1][place]
        )
        assert pair[score]["p_value"] < 0.001
        assert pair[score]["difference"]["low"] > 0
    assert found["n_participants"] == 80
    json.dumps(found, allow_nan=False)


def test_several_comparisons_are_corrected_together():
    runs = {str(seed): run_of(1.0, seed=seed) for seed in range(4)}
    pairs = compare(runs)["pairs"]
    assert len(pairs) == 6
    for score in ("auroc", "accuracy"):
        raw = [pair[score]["p_value"] for pair in pairs]
        corrected = [pair[score]["p_corrected"] for pair in pairs]
        assert min(corrected) == pytest.approx(min(1, 6 * min(raw)))
        assert all(c >= r for c, r in zip(corrected, raw, strict=True))


def test_a_run_does_not_differ_from_itself():
    run = run_of(1.0, seed=0)
    (pair,) = compare({"one": run, "same": run})["pairs"]
    assert "alike" in pair["auroc"]["difference"]["undefined"]
    assert pair["auroc"]["p_corrected"] is None
    assert pair["accuracy"]["p_value"] == 1
    assert pair["accuracy"]["difference"]["value"] == 0


def test_only_participants_of_all_runs_are_compared_and_the_rest_is_said():
    found = compare(
        {"all": run_of(1.0, seed=0), "half": run_of(1.0, seed=1, ids=range(40, 90))}
    )
    assert found["n_participants"] == 40
    assert found["notes"][0].startswith("40 participants of all were not scored")
    assert found["notes"][1].startswith("10 participants of half were not scored")


def test_over_folds_there_is_an_interval_and_no_p_value():
    fold_of = {f"sub-{i:03d}": i % 4 for i in range(80)}
    runs = {"good": run_of(2.5, seed=1), "bad": run_of(0.0, seed=2)}
    (pair,) = compare(runs, fold_of=fold_of)["pairs"]
    assert pair["auroc"]["p_value"] is None
    assert "within classes and folds" in pair["auroc"]["difference"]["method"]


def test_runs_that_cannot_be_compared_are_refused():
    run, other = run_of(1.0, seed=0), run_of(1.0, seed=0, ids=range(100, 120))
    with pytest.raises(DataError, match="two or more"):
        compare({"one": run})
    with pytest.raises(DataError, match="no participant"):
        compare({"one": run, "other": other})
    unknown = run_of(1.0, seed=0)
    unknown.table["participant_id"] = "n/a"
    with pytest.raises(DataError, match="not known"):
        compare({"one": run, "unknown": unknown})
    relabeled = run_of(1.0, seed=0)
    relabeled.table["label"] = "CN"
    with pytest.raises(DataError, match="different labels"):
        compare({"one": run, "relabeled": relabeled})
    turned = Predictions(CLASSES[::-1], run.table)
    with pytest.raises(DataError, match="classes"):
        compare({"one": run, "turned": turned})
