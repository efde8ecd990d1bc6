"""A loss that is no number stops a run at once, names its files and loses nothing."""

from __future__ import annotations

import json

import pytest
import torch

from vit_dementia.training import loop
from vit_dementia.training.run_folder import RunFolder

from .conftest import TINY

SETTINGS = (*TINY, "--epochs=3", "--batch-size=3", "--seed=1")


@pytest.fixture
def poisoned(monkeypatch):
    """Make the gradient of one step infinite, each time a run comes to it."""

    def poison(step: int, *, times: int = 1) -> list[float]:
        rates: list[float] = []
        real = loop.set_learning_rate

        def rate_and_poison(optimizer, learning_rate) -> None:
            real(optimizer, learning_rate)
            rates.append(learning_rate)
            if len(rates) == step + 1 or (times > 1 and len(rates) > step):
                for group in optimizer.param_groups:
                    for parameter in group["params"]:
                        parameter.data.fill_(float("nan"))

        monkeypatch.setattr(loop, "set_learning_rate", rate_and_poison)
        return rates

    return poison


def test_the_files_of_the_batch_are_named_and_the_last_good_state_is_kept(
    cohort_folder, command, tmp_path, poisoned
) -> None:
    poisoned(8)
    told = command("train", cohort_folder, *SETTINGS, "--out=run", check=2)
    assert "epoch 2: the loss is nan on" in told.stderr
    assert told.stderr.count(".png") >= 3
    assert "lower --learning-rate (now" in told.stderr
    history = (tmp_path / "run/history.jsonl").read_text().splitlines()
    assert len(history) == 1
    weights = torch.cat(
        [v.flatten() for v in _kept(tmp_path / "run").values() if v.is_floating_point()]
    )
    assert weights.isfinite().all()


def test_it_goes_on_by_itself_at_a_tenth_of_the_rate_if_asked(
    cohort_folder, command, tmp_path, poisoned
) -> None:
    rates = poisoned(8)
    told = command(
        "train", cohort_folder, *SETTINGS, "--train.retries=1", "--out=run",
        "--train.schedule=constant", "--train.warmup=0", "--learning-rate=1e-3",
    )  # fmt: skip
    assert "the loss is nan" in told.stderr
    assert "the learning rate times 0.1" in told.stderr
    assert rates[0] == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(1e-4)
    lines = (tmp_path / "run/history.jsonl").read_text().splitlines()
    history = [json.loads(line) for line in lines]
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert history[-1]["learning_rate"] == pytest.approx(1e-4)


def test_it_gives_up_after_as_many_times(
    cohort_folder, command, tmp_path, poisoned
) -> None:
    poisoned(2, times=9)
    command(
        "train", cohort_folder, *SETTINGS, "--train.retries=2", "--out=run", check=2
    )
    assert _kept(tmp_path / "run")  # the state before the first step


def _kept(run) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(sorted(RunFolder(run).checkpoints.glob("*.safetensors"))[-1])
