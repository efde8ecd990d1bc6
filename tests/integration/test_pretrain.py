"""Pre-training without labels, from the command line to a score."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch

from vit_dementia.data.cohort import Cohort
from vit_dementia.inference.model_folder import find_model_folder
from vit_dementia.models.weights import read_unnamed
from vit_dementia.training.run_folder import RunFolder

from .conftest import TINY, paint_cohort

QUICK = ("--epochs=2", "--batch-size=8", "--mask.decoder-dim=16")


def _weights(folder) -> torch.Tensor:
    state = read_unnamed(find_model_folder(folder)).state
    names = sorted(name for name in state if not name.startswith("head"))
    return torch.cat([state[name].flatten() for name in names])


@pytest.mark.usefixtures("unabridged")
def test_a_pretrained_encoder_is_fine_tuned_and_scored(
    cohort_folder, command, tmp_path
) -> None:
    told = command("pretrain", cohort_folder, *TINY, *QUICK, "--out", "mae")
    assert "train --init mae" not in told.stdout
    assert "vit-dementia train DATA --init mae" in told.stderr
    lines = (tmp_path / "mae/history.jsonl").read_text().splitlines()
    history = [json.loads(line) for line in lines]
    assert [record["train_accuracy"] for record in history] == [None, None]
    assert all(record["val_loss"] > 0 for record in history)
    for picture in ("reconstructions.png", "loss_curves.png"):
        assert (tmp_path / "mae" / picture).read_bytes().startswith(b"\x89PNG")
    config = json.loads((tmp_path / "mae/model/config.json").read_text())
    assert config["classes"] == []
    assert "fine-tuned" in config["training"]["goal"]

    # What is learned begins where pre-training ended, decoder and all else left out.
    command("train", cohort_folder, "--init=mae", "--epochs=0", "--out", "start")
    assert torch.equal(_weights(tmp_path / "start"), _weights(tmp_path / "mae"))
    command("train", cohort_folder, "--init=mae", "--epochs=1", "--out", "tuned")
    command("evaluate", "tuned")
    assert (tmp_path / "tuned/evaluation/test/metrics.json").is_file()


def test_whoever_is_kept_for_the_test_is_not_pretrained_on(
    cohort_folder, command, tmp_path
) -> None:
    command("pretrain", cohort_folder, *TINY, *QUICK, "--out", "mae")
    same = command("train", cohort_folder, "--init=mae", "--epochs=0", "--out", "same")
    assert "no participant and no picture stands on both sides" in same.stderr
    arguments = ("train", cohort_folder, "--init=mae", "--epochs=0", "--seed=1")
    told = command(*arguments, "--out", "other", check=3)
    assert "also stand in the training of the weights it begins with" in told.stderr
    assert not (tmp_path / "other").exists()
    reason = ("--allow-leakage", "to see it")
    told = command(*arguments, *reason, "--out", "other")
    assert "the training of the weights it begins with" in told.stderr


@pytest.mark.slow
def test_a_leak_is_found_through_a_run_in_between(
    cohort_folder, command, tmp_path
) -> None:
    command("pretrain", cohort_folder, *TINY, *QUICK, "--out", "mae")
    command("train", cohort_folder, "--init=mae", "--epochs=0", "--out", "tuned")
    told = command(
        "train", cohort_folder, "--init=tuned/model", "--epochs=0", "--seed=1",
        "--out", "again", check=3,
    )  # fmt: skip
    assert "the training of the weights it begins with" in told.stderr


def test_a_model_without_classes_answers_nothing(cohort_folder, command) -> None:
    command("pretrain", cohort_folder, *TINY, *QUICK, "--out", "mae")
    for words in (("evaluate", "mae"), ("predict", "mae", cohort_folder)):
        told = command(*words, check=2)
        assert "tells no classes" in told.stderr
        assert len(told.stderr.strip().splitlines()) == 1


def test_scans_without_labels_are_learned_from(
    cohort_folder, command, tmp_path
) -> None:
    table = Cohort.from_path(cohort_folder).table[["path", "participant_id"]]
    rows = table.assign(label="n/a", path="data/" + table["path"])
    rows.to_csv(tmp_path / "scans.tsv", sep="\t", index=False)
    command("pretrain", tmp_path / "scans.tsv", *TINY, *QUICK, "--out", "mae")
    run = RunFolder.open(tmp_path / "mae")
    assert run.cohort().classes == ()
    # Everybody there is the same people as in the folders: the guard knows them.
    told = command(
        "train", cohort_folder, "--init=mae", "--seed=5", "--out", "tuned", check=3
    )
    assert "the training of the weights it begins with" in told.stderr


@pytest.mark.slow
def test_a_stopped_pretraining_ends_as_an_unstopped_one(
    cohort_folder, command, tmp_path, monkeypatch
) -> None:
    from vit_dementia.training.pretraining import Reconstruction

    command("pretrain", cohort_folder, *TINY, *QUICK, "--out", "whole")
    scored = Reconstruction.score
    calls = []

    def interrupted(goal, wrapped, role):
        calls.append(role)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return scored(goal, wrapped, role)

    monkeypatch.setattr(Reconstruction, "score", interrupted)
    command("pretrain", cohort_folder, *TINY, *QUICK, "--out", "part", check=130)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    command("pretrain", "--resume", "part")
    assert torch.equal(_weights(tmp_path / "whole"), _weights(tmp_path / "part"))


def test_settings_that_need_labels_are_refused_all_at_once(
    cohort_folder, command, tmp_path
) -> None:
    told = command(
        "pretrain", cohort_folder, *TINY, "--train.mixup=0.2", "--train.ema=0.9",
        "--freeze=1-blocks", "--out", "mae", check=2,
    )  # fmt: skip
    for name in ("train.mixup", "train.ema", "train.freeze"):
        assert f"{name}: found" in told.stderr
    assert not (tmp_path / "mae").exists()


@pytest.fixture
def recipe(tmp_path):
    """Return a recipe for the pre-training inside each fold."""
    file = tmp_path / "quick.toml"
    file.write_text("[train]\nepochs = 1\n[mask]\ndecoder_dim = 16\n")
    return file


@pytest.mark.slow
def test_cross_validation_pretrains_inside_each_fold_on_those_who_train(
    command, tmp_path, recipe
) -> None:
    data = paint_cohort(tmp_path / "data", people=12)
    command(
        "cross-validate", data, *TINY, "--folds=2", "--epochs=1", "--pretrain", recipe,
        "--vit.dropout=0.1", "--out", "cv",
    )  # fmt: skip
    cv = tmp_path / "cv"
    for number in range(2):
        own = RunFolder.open(cv / "pretraining" / str(number))
        tuned = RunFolder.open(cv / "folds" / str(number))
        assert tuned.config.init == f"cv/pretraining/{number}"
        assert tuned.config.fold == own.config.fold == number
        assert (own.config.goal, tuned.config.goal) == ("reconstruct", "classify")
        assert own.config.vit.dropout == 0
        assert tuned.config.vit.dropout == 0.1
        assert not torch.equal(_weights(own.path), _weights(tuned.path))
    said = json.loads((cv / "evaluation/out-of-fold/metrics.json").read_text())
    assert said["by_participant"]["n_participants"] == 12
    told = pd.read_csv(cv / "evaluation/out-of-fold/predictions.tsv", sep="\t")
    assert (
        set(told.participant_id) == {f"{who:03}" for who in range(12)}
        or len(set(told.participant_id)) == 12
    )


def test_pretraining_inside_folds_takes_model_and_pictures_from_them(
    cohort_folder, command, tmp_path
) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('model = "ViT-B/16"\n[data]\nval = 0.2\n')
    told = command(
        "cross-validate", cohort_folder, *TINY, "--folds=2", "--pretrain", wrong,
        "--out", "cv", check=2,
    )  # fmt: skip
    assert "sets model, data.val" in told.stderr
    assert not (tmp_path / "cv").exists()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Return a cohort, the words that pre-train on it, and what the defaults teach."""
    from vit_dementia.cli.app import run

    folder = tmp_path_factory.mktemp("plain")
    data = paint_cohort(folder / "data")
    words = ["pretrain", str(data), *TINY, "--epochs=1", "--data.val=0"]
    words += ["--cache", str(folder / "cache"), "--mask.decoder-dim=16"]
    assert run([*words, "--out", str(folder / "run")]) == 0
    return words, _weights(folder / "run")


@pytest.mark.parametrize(
    "change",
    [
        "--mask.hidden=0.5",
        "--mask.decoder-dim=24",
        "--mask.decoder-depth=1",
        "--mask.decoder-heads=2",
    ],
)
def test_a_setting_of_the_mask_changes_the_encoder(
    plain, change, command, tmp_path
) -> None:
    words, defaults = plain
    name = change.partition("=")[0]
    command(*(word for word in words if not word.startswith(name)), change, "--out=run")
    assert not torch.equal(_weights(tmp_path / "run"), defaults)
