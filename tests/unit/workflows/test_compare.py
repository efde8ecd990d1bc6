"""``vit-dementia compare``: from run folders or tables to one written result."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from vit_dementia.cli.app import run as vit_dementia
from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import k_folds
from vit_dementia.errors import DataError
from vit_dementia.evaluation.folds import auroc_within_folds
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.compare import compare_runs, short_names

CLASSES = ("CN", "AD")


def table_at(path, *, skill, seed, ids=range(40)):
    """Write predictions of people who are as hard for every run."""
    label = np.array(ids) % 2
    shared = np.random.default_rng(0).normal(size=100)[np.array(ids)]
    own = np.random.default_rng(seed).normal(size=len(label))
    risk = 1 / (1 + np.exp(-(shared + 0.4 * own + skill * (2 * label - 1))))
    Predictions.from_arrays(
        CLASSES,
        participant_ids=[f"sub-{i:03d}" for i in ids],
        session_ids=["n/a"] * len(label),
        paths=[f"{i}.png" for i in ids],
        labels=[CLASSES[i] for i in label],
        probabilities=np.stack([1 - risk, risk], axis=1),
    ).write(path)
    return path


def evaluated(folder, **kind):
    table_at(folder / "evaluation" / "test" / "predictions.tsv", **kind)
    return folder


def test_evaluated_runs_and_tables_are_compared_and_the_result_is_written(
    tmp_path, capsys
):
    good = evaluated(tmp_path / "good", skill=2.0, seed=1)
    bad = evaluated(tmp_path / "bad", skill=0.0, seed=2)
    other = table_at(tmp_path / "[red]tool.tsv", skill=0.5, seed=3, ids=range(30))
    out = tmp_path / "out"
    code = vit_dementia(
        ["compare", str(good), str(bad), str(other), "--json", "--out", str(out)]
    )
    assert code == 0
    stdout, stderr = capsys.readouterr()
    document = json.loads(stdout)
    assert document == json.loads((out / "comparison.json").read_text())
    assert document["n_participants"] == 30
    assert list(document["runs"]) == ["good", "bad", "[red]tool.tsv"]
    assert "[red]tool.tsv" in stderr  # a name is no markup
    assert "10 participants of good were not scored" in stderr
    assert "Research use only" in stderr
    first = document["pairs"][0]
    assert first["auroc"]["p_value"] < first["auroc"]["p_corrected"] < 0.05
    table = pd.read_csv(out / "comparison.tsv", sep="\t")
    assert len(table) == 9
    assert table.difference[0] == pytest.approx(first["auroc"]["difference"]["value"])


def cross_validation_at(folder, data, *, seed, skill):
    """Make the folder that a cross-validation leaves, without training."""
    cohort = Cohort.from_path(data)
    split = k_folds(cohort, folds=4, val=0.2, seed=seed)
    RunFolder.create(folder, RunConfig(), cohort, split)
    table_at(
        folder / "evaluation" / "out-of-fold" / "predictions.tsv", skill=skill, seed=1
    )
    return folder, split


@pytest.fixture
def scans(tmp_path):
    """Return class folders of forty people; nobody looks into the files."""
    for i in range(40):
        folder = tmp_path / "data" / CLASSES[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"sub-{i:03d}.png").write_text(f"nobody looks at {i}")
    return tmp_path / "data"


def test_cross_validated_runs_are_compared_within_their_common_folds(tmp_path, scans):
    one, split = cross_validation_at(tmp_path / "one", scans, seed=0, skill=1.0)
    two, _ = cross_validation_at(tmp_path / "two", scans, seed=0, skill=0.0)
    found = json.loads(compare_runs([one, two], out=tmp_path / "out").read_text())
    told = Predictions.read(one / "evaluation" / "out-of-fold" / "predictions.tsv")
    fold = np.empty(40, int)
    for number, part in enumerate(split.folds):
        fold[np.isin(told.table.participant_id, part.test)] = number
    assert found["runs"]["one"]["auroc"]["value"] == pytest.approx(
        auroc_within_folds(told.labels > 0, told.probabilities[:, 1], fold)
    )
    assert found["pairs"][0]["auroc"]["p_value"] is None  # DeLong knows no folds


def test_runs_on_other_folds_are_not_compared(tmp_path, scans):
    one, _ = cross_validation_at(tmp_path / "one", scans, seed=0, skill=1.0)
    two, _ = cross_validation_at(tmp_path / "two", scans, seed=5, skill=1.0)
    with pytest.raises(DataError, match="two not on the same folds"):
        compare_runs([one, two], out=tmp_path / "out")
    table = table_at(tmp_path / "tool.tsv", skill=1, seed=0)
    with pytest.raises(DataError, match=r"tool\.tsv not on the same folds"):
        compare_runs([one, table], out=tmp_path / "out")


def test_a_run_that_was_not_evaluated_is_told_what_to_do(tmp_path):
    with pytest.raises(DataError, match="run: vit-dementia evaluate"):
        compare_runs([tmp_path / "a", tmp_path / "b"], out=tmp_path / "out")


def test_a_run_named_twice_is_refused(tmp_path):
    with pytest.raises(DataError, match="named twice"):
        short_names([tmp_path, tmp_path / "a" / ".."])
