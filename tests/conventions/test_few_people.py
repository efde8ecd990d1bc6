"""The study of few people holds to its protocol, and its table to its predictions."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

STUDY = Path(__file__).resolve().parents[2] / "docs" / "tables" / "few-people"
PROTOCOL = tomllib.loads((STUDY / "protocol.toml").read_text("utf-8"))


def _table(name: str) -> pd.DataFrame:
    return pd.read_csv(STUDY / name, sep="\t")


def _auroc_within_folds(told: pd.DataFrame) -> tuple[float, float]:
    """Return the AUROC of pairs within folds, weighed by pairs, and that of all."""
    is_positive = (told.label != "NonDemented").to_numpy()
    score = 1 - told["p_NonDemented"].to_numpy()
    won = pairs = 0.0
    for fold in told.fold.unique():
        mine = (told.fold == fold).to_numpy()
        num = is_positive[mine].sum() * (~is_positive[mine]).sum()
        won += num * roc_auc_score(is_positive[mine], score[mine])
        pairs += num
    return won / pairs, roc_auc_score(is_positive, score)


def test_scores_are_those_of_the_predictions() -> None:
    arms = _table("arms.tsv").set_index("arm")
    floor = _table(arms.predictions["linear"])
    for arm, row in arms.iterrows():
        told = _table(row.predictions)
        assert len(told) == told.person.nunique() == row.n_participants == 150
        within, across = _auroc_within_folds(told)
        assert row.auroc == pytest.approx(within, abs=2e-3), arm
        assert row.across_folds == pytest.approx(across, abs=2e-3), arm
        assert row.auroc_low < row.auroc < row.auroc_high
        # The same people in the same folds, so that differences are paired.
        both = told.merge(floor, on="person", suffixes=("", "_of_floor"))
        assert len(both) == 150
        assert (both.fold == both.fold_of_floor).all()
        if arm != "linear":
            difference = within - _auroc_within_folds(floor)[0]
            assert row.above_floor == pytest.approx(difference, abs=2e-3), arm
            assert row.above_floor_low < row.above_floor < row.above_floor_high


def test_every_trial_is_told_and_the_best_on_validation_parts_stands() -> None:
    trials, arms = _table("trials.tsv"), _table("arms.tsv").set_index("arm")
    recipes = {
        file.name.removesuffix(".toml")
        for file in (STUDY / "trials").glob("*.toml")
        if not file.name.endswith(".pretrain.toml")
    }
    assert set(trials.trial) - {"linear.floor"} <= recipes
    finished = trials.dropna(subset="val_auroc")
    for arm, mine in finished.groupby("arm", sort=False):
        best = mine.trial[mine.val_auroc.idxmax()]  # of equals the first
        assert arms.trial[arm] == best
        assert (mine.folds == PROTOCOL["folds"]).all()
    assert (trials.folds[trials.val_auroc.isna()] < PROTOCOL["folds"]).all()
    assert {*finished.arm, "together"} == set(arms.index) <= set(PROTOCOL["arms"])


def test_what_is_put_together_is_the_mean_of_its_members() -> None:
    arms = _table("arms.tsv").set_index("arm")
    columns = ["p_NonDemented"]
    parts = [
        _table(arms.predictions[name]).set_index("person")[columns].sort_index()
        for name in PROTOCOL["arms"]["together"]["members"]
        if name in arms.index
    ]
    whole = _table(arms.predictions["together"]).set_index("person")[columns]
    mean = sum(parts[1:], parts[0]) / len(parts)
    np.testing.assert_allclose(whole.sort_index(), mean, atol=1e-5)


def test_nobody_is_named() -> None:
    for file in STUDY.rglob("*.tsv"):
        text = file.read_text("utf-8")
        assert "OAS" not in text
        assert ".jpg" not in text
