"""Models of all folds that answer together."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import special

from vit_dementia.errors import CheckpointError
from vit_dementia.evaluation.abstention import coverage
from vit_dementia.evaluation.crossed import Crossed, LeftOut, observed_out_of_fold
from vit_dementia.evaluation.predictions import Predictions

CLASSES = ("none", "very mild", "mild")


def said(rng, label, k=3):
    """Return what a model that knows something says of people with these labels."""
    logits = rng.normal(size=(len(label), k)) + 1.5 * np.eye(k)[label]
    return special.softmax(2 * logits, axis=1)


def table(label, told, *, first=0):
    """Return predictions of two equal scans of each participant."""
    ids = [f"p{first + row:03d}" for row in range(len(label))]
    return Predictions.from_arrays(
        CLASSES,
        participant_ids=[*ids, *ids],
        session_ids=["n/a"] * (2 * len(ids)),
        paths=[f"{who}-{scan}.png" for scan in (0, 1) for who in ids],
        labels=[CLASSES[one] for one in [*label, *label]],
        probabilities=np.concatenate([told, told]),
    )


def crossed_of(rng, *, people=60, folds=3, level=0.9, line=0.4):
    left_out, every = [], []
    for fold in range(folds):
        label = rng.integers(3, size=people // folds)
        told = table(label, said(rng, label), first=fold * len(label))
        left_out.append(LeftOut.of(told, fold=fold, model=f"{fold}" * 64, line=line))
        every.append(told)
    seen = observed_out_of_fold(every, positive=CLASSES[1:])
    return Crossed.of(
        CLASSES, left_out, positive=CLASSES[1:], level=level, observed=seen
    )


def test_a_participant_counts_once_however_many_scans_there_are():
    crossed = crossed_of(np.random.default_rng(0))
    assert [len(fold.strange) for fold in crossed.folds] == [20, 20, 20]
    assert all(np.all(np.diff(fold.strange) >= 0) for fold in crossed.folds)


@pytest.mark.slow
def test_sets_of_new_people_hold_the_truth_as_often_as_asked():
    rng = np.random.default_rng(1)
    found = []
    for _ in range(150):
        crossed = crossed_of(rng)
        label = rng.integers(3, size=40)
        told = said(rng, label)
        sets = crossed.sets(np.stack([told] * 3))
        assert sets is not None
        found.append(coverage(sets, label))
    assert np.mean(found) == pytest.approx(55 / 61, abs=0.015)


def test_a_class_that_every_fold_rules_out_is_out_and_one_that_none_does_is_in():
    folds = [LeftOut(fold, "", 0.5, (0.1, 0.2, 0.3) * 4) for fold in range(3)]
    crossed = Crossed.of(CLASSES, folds, positive=CLASSES[1:], level=0.8)
    sure = np.array([[0.95, 0.04, 0.01]])
    sets = crossed.sets(np.stack([sure] * 3))
    assert sets is not None
    assert sets.tolist() == [[True, False, False]]
    assert crossed.answers(np.stack([sure] * 3)) == ["no"]
    torn = np.array([[0.46, 0.44, 0.10]])
    assert crossed.answers(np.stack([torn] * 3)) == ["not sure"]  # nothing is left


def test_the_line_is_the_mean_of_the_folds_and_needs_all_of_them():
    folds = [LeftOut(0, "", 0.3, (0.1,) * 9), LeftOut(1, "", 0.5, (0.1,) * 9)]
    crossed = Crossed.of(CLASSES, folds, positive=CLASSES[1:], level=0.9)
    assert crossed.line == pytest.approx(0.4)
    assert crossed.calibration.lines == {"balanced": pytest.approx(0.4)}
    folds[1] = LeftOut(1, "", None, (0.1,) * 9)
    crossed = Crossed.of(CLASSES, folds, positive=CLASSES[1:], level=0.9)
    assert crossed.line is None
    assert crossed.calibration.lines_undefined


@pytest.mark.parametrize(
    ("strange", "leak", "why"),
    [((0.1,), "", "needs 9"), ((), "", "not known"), ((0.1,) * 20, "mine", "mine")],
)
def test_without_sets_the_reason_is_told_and_the_line_speaks_alone(strange, leak, why):
    folds = [LeftOut(0, "", 0.5, strange)]
    crossed = Crossed.of(CLASSES, folds, positive=CLASSES[1:], level=0.9, leak=leak)
    told = np.array([[[0.9, 0.1, 0.0], [0.3, 0.3, 0.4]]])
    assert why in crossed.why
    assert crossed.sets(told) is None
    assert crossed.answers(told) == ["no", "yes"]
    silent = Crossed.of(
        CLASSES, [LeftOut(0, "", None, ())], positive=CLASSES[1:], level=0.9
    )
    assert silent.answers(told) == [None, None]


def test_what_is_observed_are_the_shares_of_everybody_left_out():
    rng = np.random.default_rng(3)
    parts, labels, scores = [], [], []
    for fold in range(4):
        label = rng.integers(3, size=25)
        probability = said(rng, label)
        parts.append(table(label, probability, first=25 * fold))
        labels.append(label > 0)
        scores.append(probability[:, 1:].sum(axis=1))
    bins = observed_out_of_fold(parts, positive=CLASSES[1:])
    is_positive, score = np.concatenate(labels), np.concatenate(scores)
    assert sum(one.num_participants for one in bins) == 100  # not 200 scans
    assert bins[-1].up_to == 1.0
    for one in bins:
        mine = (score > one.above) & (score <= one.up_to)
        assert one.num_participants == mine.sum() >= 10
        assert one.num_positive == is_positive[mine].sum()


def test_folds_that_leak_or_whose_people_are_unknown_observe_nothing():
    label = np.arange(3).repeat(10)
    told = table(label, said(np.random.default_rng(4), label))
    bins = observed_out_of_fold([told], positive=CLASSES[1:])
    folds = [LeftOut(0, "", 0.5, (0.1,) * 30)]
    words = {"positive": CLASSES[1:], "level": 0.9, "observed": bins}
    assert Crossed.of(CLASSES, folds, **words).calibration.observed == bins != ()
    assert Crossed.of(CLASSES, folds, **words, leak="mine").observed == ()
    told.table["participant_id"] = "unknown"
    assert observed_out_of_fold([told], positive=CLASSES[1:]) == ()


def test_unknown_participants_calibrate_nothing():
    told = table(np.array([0, 1]), np.full((2, 3), 1 / 3))
    told.table["participant_id"] = "unknown"
    assert LeftOut.of(told, fold=0, model="", line=None).strange == ()


def test_what_is_written_is_read_back_and_names_nobody():
    crossed = crossed_of(np.random.default_rng(2))
    text = json.dumps(crossed.to_dict(), allow_nan=False)
    assert "p00" not in text
    assert ".png" not in text
    assert Crossed.from_dict(json.loads(text), where="x") == crossed


@pytest.mark.parametrize("damage", [None, [], {"format": 9}, {"format": 1}])
def test_another_content_is_refused_by_name(damage):
    with pytest.raises(CheckpointError, match=r"crossed\.json"):
        Crossed.from_dict(damage, where="crossed.json")
