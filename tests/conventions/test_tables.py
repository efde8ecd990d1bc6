"""Published tables say what their predictions say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

TABLES = Path(__file__).resolve().parents[2] / "docs" / "tables"


def _rows() -> list[pd.Series]:
    file = TABLES / "slices.tsv"
    return [row for _, row in pd.read_csv(file, sep="\t").iterrows()]


def _auroc_within_folds(is_positive, score, fold) -> float:
    """Weigh each fold's AUROC by its pairs of a positive and a negative."""
    won = pairs = 0.0
    for number in np.unique(fold):
        mine = fold == number
        num = is_positive[mine].sum() * (~is_positive[mine]).sum()
        won += num * roc_auc_score(is_positive[mine], score[mine])
        pairs += num
    return won / pairs


def test_slices_are_scored_as_their_predictions_say() -> None:
    for row in _rows():
        told = pd.read_csv(TABLES / row.predictions, sep="\t")
        names = [name for name in told.columns if name.startswith("p_")]
        assert len(told) == (
            row.n_participants if row.unit == "participant" else row.n_images
        )
        assert told.person.nunique() == row.n_participants
        healthy = names[0]
        is_positive = (told.label != healthy.removeprefix("p_")).to_numpy()
        score = (1 - told[healthy]).to_numpy()
        fold = told.fold if "fold" in told else pd.Series(np.zeros(len(told)))
        expected = _auroc_within_folds(is_positive, score, fold.to_numpy())
        assert row.auroc == pytest.approx(expected, abs=2e-3), row.predictions
        predicted = [
            names[i].removeprefix("p_") for i in told[names].to_numpy().argmax(1)
        ]
        assert row.accuracy == pytest.approx(
            accuracy_score(told.label, predicted), abs=2e-3
        )
        assert np.isnan(row.auroc_low) or row.auroc_low <= row.auroc <= row.auroc_high


def test_no_prediction_names_a_participant_or_a_path() -> None:
    for file in (TABLES / "slices").glob("*.tsv"):
        text = file.read_text()
        assert "OAS" not in text
        assert ".jpg" not in text
        assert "sub-" not in text
