"""Two processes that torchrun starts learn what one would."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vit_dementia.cli.app import run

from .conftest import TINY, paint_cohort

# Eleven people train: the last batch of five is one, which only one process gets.
SETTINGS = (
    *TINY,
    "--epochs=3",
    "--batch-size=5",
    "--learning-rate=1e-3",
    "--train.accumulate=2",
    "--train.precision=fp32",
    "--train.checkpoint-minutes=0",  # after every update
    "--data.test=0",
    "--data.val=0.35",
    "--data.slices-per-participant=1",
)


def _together(*arguments: object) -> list[str]:
    """Return the command that two processes run together."""
    return [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        "--nproc-per-node=2", "-m", "vit_dementia", *map(str, arguments),
    ]  # fmt: skip


def _run_together(*arguments: object) -> str:
    done = subprocess.run(
        _together(*arguments), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> tuple[Path, Path, Path]:
    """Return data, cache and the run of one process."""
    folder = tmp_path_factory.mktemp("alone")
    data, cache = paint_cohort(folder / "data", people=17), folder / "cache"
    command = ["train", str(data), *SETTINGS, "--cache", str(cache)]
    assert run([*command, "--out", str(folder / "run")]) == 0
    return data, cache, folder / "run"


@pytest.fixture(scope="module")
def together(alone, tmp_path_factory) -> tuple[Path, str]:
    """Return the run of two processes and what they said."""
    data, cache, _ = alone
    out = tmp_path_factory.mktemp("together") / "run"
    said = _run_together("train", data, *SETTINGS, "--cache", cache, "--out", out)
    return out, said


def _curves(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "history.jsonl").read_text().splitlines()
    clock = ("images_per_second", "seconds")
    return [
        {
            name: value
            for name, value in json.loads(line).items()
            if name not in clock and value is not None
        }
        for line in lines
    ]


def _assert_as_good_as_same(folder: Path, other: Path) -> None:
    for ours, theirs in zip(_curves(folder), _curves(other), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    ours, theirs = (
        load_file(run / "model" / "model.safetensors") for run in (folder, other)
    )
    # Keys' biases change nothing, and AdamW blows up what rounding leaves of a zero.
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def _back_in_the_last_epoch(folder: Path, tmp_path: Path) -> Path:
    """Return a copy of a run, without what it did last."""
    copy = Path(shutil.copytree(folder, tmp_path / "stopped"))
    for file in sorted((copy / "checkpoints").iterdir())[-2:]:
        file.unlink()
    newest = sorted((copy / "checkpoints").glob("*.json"))[-1]
    assert json.loads(newest.read_text())["epochs"] == 2
    assert "tally" in json.loads(newest.read_text())["facts"]
    return copy


@pytest.mark.slow
def test_the_curves_of_two_processes_are_those_of_one(alone, together) -> None:
    _assert_as_good_as_same(together[0], alone[2])


@pytest.mark.slow
def test_one_of_the_two_speaks_and_writes(together) -> None:
    out, said = together
    assert "2 processes" in said
    assert said.count("epoch 2/3 |") == 1
    assert "UserWarning" not in said
    assert "deprecated" not in said
    assert (out / "log.txt").read_text().count("epoch 2/3 |") == 1
    assert len(_curves(out)) == 3
    assert (out / "model" / "calibration.json").is_file()


@pytest.mark.slow
def test_what_two_began_one_ends(alone, together, tmp_path) -> None:
    _, cache, whole = alone
    folder = _back_in_the_last_epoch(together[0], tmp_path)
    assert run(["train", "--resume", str(folder), "--cache", str(cache)]) == 0
    _assert_as_good_as_same(folder, whole)


@pytest.mark.slow
def test_what_one_began_two_end(alone, tmp_path) -> None:
    data, cache, whole = alone
    folder = _back_in_the_last_epoch(whole, tmp_path)
    _run_together("train", data, "--resume", folder, "--cache", cache)
    _assert_as_good_as_same(folder, whole)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_or_killed_process_costs_nothing_that_was_saved(
    alone, tmp_path, number
) -> None:
    data, cache, whole = alone
    out = tmp_path / "run"
    process = subprocess.Popen(
        _together("train", data, *SETTINGS, "--cache", cache, "--out", out),
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list((out / "checkpoints").glob("*.json")) and process.poll() is None:
        time.sleep(0.01)
    if number == signal.SIGTERM:
        process.send_signal(number)  # torchrun hands it on
    else:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        os.kill(int(children.read_text().split()[-1]), number)
    said = process.communicate(timeout=120)[1]
    assert process.returncode != 0, said
    if number == signal.SIGTERM:
        assert said.count("which is saved; go on with: vit-dementia train") == 1
    assert run(["train", "--resume", str(out), "--cache", str(cache)]) == 0
    _assert_as_good_as_same(out, whole)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["a run is there", "no scan can be read"])
def test_what_all_would_say_is_said_once(alone, tmp_path, fault) -> None:
    data, cache, out = alone
    told = "is there already; needs a new folder"
    if fault == "no scan can be read":
        data, out = Path(shutil.copytree(data, tmp_path / "data")), tmp_path / "run"
        for file in data.rglob("*.png"):
            file.write_bytes(file.read_bytes()[:60])  # the head of the file is whole
        told = "no usable scan is left of class 'NonDemented'"
    command = _together("train", data, *SETTINGS, "--cache", cache, "--out", out)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.count(told) == 1
    assert "vit_dementia/" not in done.stderr  # as in a traceback
