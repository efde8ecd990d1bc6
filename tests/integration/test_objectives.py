"""What is learned and how: losses, mixing, averaging, and the finder of a rate."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from vit_dementia.inference.model_folder import read_model_folder

from .conftest import TINY

STAGES = ("NonDemented", "MildDemented", "ModerateDemented")
SHORT = ("--epochs=2", "--batch-size=4", "--data.val=0.2", "--cache=cache")


def _flags(*flags: str) -> list[str]:
    """Return the flags of a tiny network and a short run, changed by others."""
    last = {flag.partition("=")[0]: flag for flag in (*TINY, *SHORT, *flags)}
    return list(last.values())


@pytest.fixture
def stages(tmp_path):
    """Return class folders of three stages, twelve people in all, one slice each."""
    rng = np.random.default_rng(0)
    for person in range(12):
        folder = tmp_path / "stages" / STAGES[person % 3]
        folder.mkdir(parents=True, exist_ok=True)
        image = np.zeros((32, 24), np.uint8)
        image[4:28, 4:20] = rng.integers(100, 220, (24, 16)) - 40 * (person % 3)
        Image.fromarray(image).save(folder / f"sub-{person:03}_slice-0.png")
    return tmp_path / "stages"


def _lines(run) -> list[str]:
    return (run / "history.jsonl").read_text("utf-8").splitlines()


def _weights(run) -> torch.Tensor:
    state = read_model_folder(run).network.state_dict()
    return torch.cat([value.flatten() for _, value in sorted(state.items())])


def _trained(command, tmp_path, data, name: str, *flags: str) -> torch.Tensor:
    command("train", data, *_flags(*flags), "--out", tmp_path / name)
    return _weights(tmp_path / name)


@pytest.mark.slow
def test_the_ordinal_loss_trains_another_model_on_three_stages(
    stages, command, tmp_path
) -> None:
    plain = _trained(command, tmp_path, stages, "plain")
    ordinal = _trained(command, tmp_path, stages, "ordinal", "--train.loss=ordinal")
    assert ordinal.isfinite().all()
    assert not torch.allclose(plain, ordinal, atol=1e-4)
    command("evaluate", tmp_path / "ordinal")


def test_the_ordinal_loss_is_refused_where_nobody_knows_the_order(
    stages, command, tmp_path
) -> None:
    for number, name in enumerate(STAGES):
        (stages / name).rename(stages / f"group{'abc'[number]}")
    out = tmp_path / "run"
    told = command(
        "train", stages, *_flags("--train.loss=ordinal"), "--out", out, check=2
    )
    assert "train.loss: found ordinal for groupa, groupb, groupc" in told.stderr
    assert not out.exists()


@pytest.mark.slow
def test_the_effective_number_hangs_on_its_beta(stages, command, tmp_path) -> None:
    for file in sorted((stages / STAGES[2]).glob("*.png"))[2:]:
        file.unlink()
    flat, steep = (
        _trained(
            command, tmp_path, stages, name, "--train.balance=effective",
            f"--train.effective-beta={beta}", "--data.val=0",
        )
        for name, beta in (("flat", 0.0), ("steep", 0.99))
    )  # fmt: skip
    assert not torch.allclose(flat, steep, atol=1e-5)


def test_cutmix_is_refused_where_no_images_are_kept(stages, command, tmp_path) -> None:
    told = command(
        "train", stages, *TINY, "--freeze=backbone", "--train.cutmix=1",
        "--out", tmp_path / "run", check=2,
    )  # fmt: skip
    assert "train.cutmix: found 1.0; needs 0 beside freeze backbone" in told.stderr


@pytest.mark.slow
def test_slices_that_a_frozen_backbone_read_can_be_added_up(
    stages, command, tmp_path
) -> None:
    plain, mixed = (
        _trained(command, tmp_path, stages, f"mixup{a}", "--freeze=backbone",
                 f"--train.mixup={a}", "--data.val=0")
        for a in (0.0, 0.8)
    )  # fmt: skip
    assert not torch.equal(plain, mixed)


@pytest.mark.slow
def test_a_stopped_run_with_mixing_and_averaging_ends_as_an_unstopped_one(
    stages, command, tmp_path, monkeypatch
) -> None:
    from vit_dementia.training import epochs

    flags = _flags(
        "--train.ema=0.8", "--train.mixup=0.4", "--train.cutmix=1",
        "--train.accumulate=2", "--epochs=4",
    )  # fmt: skip
    command("train", stages, *flags, "--out", tmp_path / "whole")
    run_epoch = epochs.Training._train_epoch

    def stopped(self, *args, **kwargs):
        if kwargs["place"].epochs == 2:
            raise KeyboardInterrupt
        return run_epoch(self, *args, **kwargs)

    monkeypatch.setattr(epochs.Training, "_train_epoch", stopped)
    command("train", stages, *flags, "--out", tmp_path / "again", check=130)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    command("train", "--resume", tmp_path / "again", "--cache=cache")
    assert torch.equal(_weights(tmp_path / "whole"), _weights(tmp_path / "again"))
    whole, again = (
        [json.loads(line) for line in _lines(tmp_path / n)] for n in ("whole", "again")
    )
    for one, other in zip(whole, again, strict=True):
        assert one["train_loss"] == other["train_loss"]
        assert one["val_loss"] == other["val_loss"]


def test_the_mean_of_the_weights_is_what_is_kept(stages, command, tmp_path) -> None:
    kept = _trained(command, tmp_path, stages, "run", "--train.ema=0.9", "--data.val=0")
    newest = max((tmp_path / "run" / "checkpoints").glob("*.safetensors"))
    state = load_file(newest)
    mean, last = (
        torch.cat([value.flatten() for name, value in sorted(state.items())
                   if name.startswith(f"model.{part}.")])
        for part in ("mean", "network")
    )  # fmt: skip
    assert torch.equal(kept, mean)
    assert not torch.allclose(kept, last, atol=1e-5)


def test_a_rate_is_found_said_and_drawn(stages, command, tmp_path) -> None:
    out = tmp_path / "rate"
    told = command(
        "train", stages, *_flags("--train.accumulate=2"), "--find-learning-rate",
        "--out", out,
    )  # fmt: skip
    assert 1e-7 <= float(told.stdout) <= 1e-1
    rows = (out / "learning-rate.tsv").read_text().splitlines()
    assert rows[0].split("\t") == ["learning_rate", "loss", "smoothed_loss"]
    rates = [float(row.split("\t")[0]) for row in rows[1:]]
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(1e-6)
    with Image.open(out / "learning-rate.png") as picture:
        picture.verify()
    assert not (out / "config.toml").exists()  # nothing was trained
