"""What a model knows about its own answers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from vit_dementia.errors import CheckpointError
from vit_dementia.evaluation.calibrated import Calibration, Sets
from vit_dementia.evaluation.predictions import Predictions

CLASSES = ("none", "very mild", "mild")
POSITIVE = CLASSES[1:]


def told_of(people, *, seed=0, skill=1.5, scans=3):
    rng = np.random.default_rng(seed)
    label = np.arange(people) % 3
    logits = rng.normal(size=(people, 3)) + skill * np.eye(3)[label]
    return Predictions.from_arrays(
        CLASSES,
        participant_ids=[f"sub-{i:03d}" for i in np.repeat(np.arange(people), scans)],
        session_ids=["n/a"] * people * scans,
        paths=[f"{i}.png" for i in range(people * scans)],
        labels=[CLASSES[i] for i in np.repeat(label, scans)],
        probabilities=np.repeat(special.softmax(3 * logits, axis=1), scans, axis=0),
    )


def test_validation_participants_give_scaling_and_lines_but_no_sets():
    found = Calibration.fit(told_of(60), positive=POSITIVE)
    assert found.scaling.num_participants == found.n_participants == 60
    assert set(found.lines) == {"balanced", "specificity_90", "specificity_95"}
    assert found.lines["specificity_90"] <= found.lines["specificity_95"]
    assert found.sets is None


def test_few_validation_participants_draw_no_line_and_say_so():
    found = Calibration.fit(told_of(9), positive=POSITIVE)
    assert found.lines == {}
    assert (
        "3 validation participants on one side; 5 are needed" in found.lines_undefined
    )
    assert found.answers(np.full((2, 3), 1 / 3)) == [None, None]


def test_unknown_participants_calibrate_nothing():
    told = told_of(60)
    told.table["participant_id"] = "n/a"
    found = Calibration.fit(told, positive=POSITIVE)
    assert found.scaling.why == found.lines_undefined == "participants are not known"
    assert found.with_sets(told, on="test").sets == Sets(
        0.9, None, 0, "test", "participants are not known"
    )


def test_a_set_that_holds_both_sides_is_not_sure():
    fitted = Calibration.fit(told_of(60), positive=POSITIVE)
    ask = np.array([[0.9, 0.08, 0.02], [0.45, 0.45, 0.10], [0.02, 0.5, 0.48]])
    line = replace(fitted, lines={"balanced": 0.5})
    assert line.answers(ask) == ["no", "yes", "yes"]  # a line is never unsure
    sure = replace(line, sets=Sets(0.9, 0.6, 50, "test"))
    assert sure.answers(ask) == ["no", "not sure", "yes"]  # both positive: still yes
    strict = replace(line, sets=Sets(0.9, 0.05, 50, "test"))
    assert strict.answers(ask) == ["not sure"] * 3  # nothing is left of any
    against = replace(line, lines={"balanced": 0.05}, sets=Sets(0.9, 0.6, 50, "test"))
    assert against.answers(ask)[0] == "not sure"  # line and set contradict


@pytest.mark.slow
def test_sets_hold_the_truth_of_new_people_as_often_as_asked():
    covered = []
    for seed in range(12):
        fitted = Calibration.fit(told_of(60, seed=3 * seed), positive=POSITIVE)
        other = fitted.applied_to(told_of(60, seed=3 * seed + 1))
        found = fitted.with_sets(other, on="test")
        new = fitted.applied_to(told_of(60, seed=3 * seed + 2)).by_participant()
        strange = 1 - new.probabilities[np.arange(60), new.labels]
        covered.append(np.mean(strange <= found.sets.threshold))
    assert 0.87 <= np.mean(covered) <= 0.94


def test_a_level_that_needs_more_people_is_said():
    fitted = Calibration.fit(told_of(60), positive=POSITIVE)
    sets = fitted.with_sets(told_of(6), on="test").sets
    assert sets.threshold is None
    assert "cannot calibrate at this level: 90% needs 9 participants" in sets.why


def test_what_is_written_reads_the_same():
    told = told_of(60)
    for found in (
        Calibration.fit(told, positive=POSITIVE).with_sets(told, on="test"),
        Calibration.fit(told_of(9), positive=POSITIVE),
        Calibration.none(CLASSES, "no validation part"),
    ):
        content = json.loads(json.dumps(found.to_dict(model="abc"), allow_nan=False))
        assert Calibration.from_dict(content, where="x") == found


@pytest.mark.parametrize(
    "content", [{}, {"format": 9}, {"format": 1}, {"format": 1, "scaling": 3}, []]
)
def test_a_damaged_file_is_refused(content):
    with pytest.raises(CheckpointError, match="x: "):
        Calibration.from_dict(content, where="x")
