"""A frozen backbone is passed once, and the run resumes and scores as any other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vit_dementia.models.weights import load_model, read_weights

from .conftest import TINY


@pytest.mark.slow
def test_ten_epochs_of_a_head_pass_the_backbone_once(
    cohort_folder, command, tmp_path
) -> None:
    command("train", cohort_folder, *TINY, "--epochs=1", "--tokens=all", "--out=first")
    told = command(
        "train", cohort_folder, "--init=first", "--freeze=backbone", "--epochs=10",
        "--device=cpu", "--cache=kept", "--out=second",
    )  # fmt: skip
    assert "each slice passes the backbone once, as it is" in told.stderr
    before = load_model(tmp_path / "first").state_dict()
    after = read_weights(tmp_path / "second").state
    changed = {name for name in after if not after[name].equal(before[name])}
    assert changed == {"head.weight", "head.bias"}
    command("evaluate", "second", "--cache=kept")
    table = tmp_path / "second/evaluation/test/predictions.tsv"
    scored = pd.read_csv(table, sep="\t").filter(like="p_").to_numpy()
    assert np.isfinite(scored).all()


@pytest.mark.slow
def test_augmented_views_are_kept_too_and_resume_the_same(
    cohort_folder, command, tmp_path
) -> None:
    command("train", cohort_folder, *TINY, "--epochs=1", "--out=first")
    settings = (
        "--init=first", "--freeze=backbone", "--train.views=3", "--device=cpu",
    )  # fmt: skip
    for name in ("one", "two"):
        command(
            "train", cohort_folder, *settings, "--epochs=4", f"--cache={name}",
            f"--out=run-{name}",
        )  # fmt: skip
    one, two = (read_weights(tmp_path / f"run-{n}").state for n in ("one", "two"))
    assert all(one[name].equal(two[name]) for name in one)
