"""The predictions table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vit_dementia.errors import ManifestError
from vit_dementia.evaluation.predictions import Predictions


def some_predictions(n=12, k=3, participants=4, seed=0):
    rng = np.random.default_rng(seed)
    classes = [f"class {i}" for i in range(k)]
    who = rng.integers(participants, size=n)
    return Predictions.from_arrays(
        classes,
        participant_ids=[f"sub-{i}" for i in who],
        session_ids=["n/a"] * n,
        paths=[f"{i}.png" for i in range(n)],
        labels=[classes[i % k] for i in who],
        probabilities=rng.dirichlet(np.ones(k), size=n),
    )


def test_a_table_comes_back_as_it_was_written(tmp_path):
    told = some_predictions()
    told.table.loc[3, "abstained"] = True
    told.table.loc[2, "path"] = 'with\ttab, "quotes" and\nline.png'
    told.write(tmp_path / "predictions.tsv")
    back = Predictions.read(tmp_path / "predictions.tsv")
    assert back.classes == told.classes
    pd.testing.assert_frame_equal(back.table, told.table)


def test_the_class_order_can_be_asked_for(tmp_path):
    told = some_predictions()
    told.write(tmp_path / "p.tsv")
    turned = Predictions.read(tmp_path / "p.tsv", classes=told.classes[::-1])
    np.testing.assert_array_equal(turned.probabilities, told.probabilities[:, ::-1])
    np.testing.assert_array_equal(turned.labels, 2 - told.labels)


def test_a_table_of_another_tool_needs_only_labels_and_probabilities(tmp_path):
    (tmp_path / "p.tsv").write_text("label\tp_CN\tp_AD\nAD\t0.4\t0.6\nn/a\t1\t0\n")
    read = Predictions.read(tmp_path / "p.tsv")
    assert read.classes == ("CN", "AD")
    assert read.labels.tolist() == [1, -1]
    assert not read.participants_known
    assert len(read.labeled().table) == 1


def test_every_fault_of_a_table_is_named_at_once(tmp_path):
    (tmp_path / "p.tsv").write_text(
        "path\tlabel\tp_CN\tp_AD\tpredicted\tabstained\tnum_scans\n"
        "a\tMCI\t0.4\t0.6\tAD\tfalse\t1\n"
        "a\tCN\t0.4\tx\tAD\tfalse\t1\n"
        "b\tCN\t0.9\t0.6\tno\tmaybe\tmany\n"
    )
    with pytest.raises(ManifestError) as caught:
        Predictions.read(tmp_path / "p.tsv")
    text = str(caught.value)
    assert len(caught.value.faults) == 7
    assert "line 2, column label: 'MCI'" in text
    assert "line 3, column path: twice" in text


@pytest.mark.parametrize(
    "content",
    ["", "label\tp_a\tp_b\n", "p_a\tp_b\n1\t0\n", "label\tp_a\na\t1\n"],
    ids=["empty", "no rows", "no label", "one class"],
)
def test_a_file_that_is_no_table_of_predictions_is_refused(tmp_path, content):
    (tmp_path / "p.tsv").write_text(content)
    with pytest.raises(ManifestError):
        Predictions.read(tmp_path / "p.tsv")


def test_pooling_is_the_mean_over_a_participants_scans():
    told = some_predictions(n=40)
    pooled = told.by_participant()
    for row, name in enumerate(pooled.table.participant_id):
        mine = (told.table.participant_id == name).to_numpy()
        expected = told.probabilities[mine].mean(axis=0)
        np.testing.assert_allclose(pooled.probabilities[row], expected)
        assert pooled.table.num_scans[row] == mine.sum()
        assert pooled.table.label[row] == told.table.label[mine.argmax()]


@given(st.permutations(range(30)))
def test_pooling_ignores_the_order_of_rows(order):
    told = some_predictions(n=30)
    mixed = told.where(np.array(order)).by_participant()
    np.testing.assert_allclose(
        mixed.probabilities, told.by_participant().probabilities, atol=1e-12
    )


def test_a_participant_with_two_labels_has_no_label():
    told = some_predictions(n=6, participants=1)
    told.table.loc[0, "label"] = "class 2"
    assert told.by_participant().labels.tolist() == [-1]


def test_unknown_participants_cannot_be_pooled():
    told = some_predictions()
    told.table.loc[0, "participant_id"] = "n/a"
    with pytest.raises(ValueError, match="participant_id"):
        told.by_participant()


@pytest.mark.parametrize(
    "change",
    [
        {"probabilities": np.array([[0.2, 0.9]])},
        {"probabilities": np.array([[np.nan, 1.0]])},
        {"labels": ["MCI"]},
        {"paths": []},
        {"classes": ["CN", "CN"]},
    ],
)
def test_arrays_that_do_not_fit_are_refused(change):
    given_ = {
        "classes": ["CN", "AD"],
        "participant_ids": ["a"],
        "session_ids": ["n/a"],
        "paths": ["a.png"],
        "labels": ["CN"],
        "probabilities": np.array([[0.5, 0.5]]),
    } | change
    with pytest.raises(ValueError):  # noqa: PT011 - five reasons, one kind
        Predictions.from_arrays(**given_)


def test_pooling_by_visit_keeps_visits_apart():
    told = some_predictions(n=24, participants=3)
    with pytest.raises(ValueError, match="session_id"):
        told.by_session()
    told.table["session_id"] = [f"ses-{i % 2}" for i in range(24)]
    pooled = told.by_session()
    assert not pooled.table.duplicated(["participant_id", "session_id"]).any()
    assert pooled.table.num_scans.sum() == 24
    row = pooled.table.iloc[0]
    mine = (told.table.participant_id == row.participant_id) & (
        told.table.session_id == row.session_id
    )
    np.testing.assert_allclose(
        pooled.probabilities[0], told.probabilities[mine.to_numpy()].mean(axis=0)
    )


def test_people_told_the_same_on_few_or_many_scans_stay_tied():
    num_scans = np.arange(1, 13)
    who = np.repeat([f"sub-{i:02}" for i in range(12)], num_scans)
    told = Predictions.from_arrays(
        ("CN", "AD"),
        participant_ids=who.tolist(),
        session_ids=["n/a"] * len(who),
        paths=[f"{i}.png" for i in range(len(who))],
        labels=["CN"] * len(who),
        probabilities=np.tile([[0.7, 0.3]], (len(who), 1)),
    )
    pooled = told.by_participant().probabilities
    np.testing.assert_array_equal(pooled, [[0.7, 0.3]] * 12)
