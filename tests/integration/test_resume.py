"""A run that was killed ends with the weights it would have had."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.errors import ConfigError, DataError
from vit_dementia.training import run as training

from .conftest import TINY, paint_cohort

EPOCHS = 4
SETTINGS = (
    *TINY,
    f"--epochs={EPOCHS}",
    "--batch-size=4",
    "--vit.dropout=0.1",
    "--vit.drop-path=0.1",
    "--train.checkpoint-minutes=0.0001",  # after every batch
    "--train.accumulate=2",
)


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "vit_dementia", *map(str, arguments)]


def _run(cache: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(*arguments, "--cache", cache),
        capture_output=True,
        text=True,
        check=True,
    )


def _all_weights(run: Path) -> dict[str, torch.Tensor]:
    """Return the best and the last weights, and the optimizer's state."""
    newest = sorted((run / "checkpoints").glob("*.safetensors"))[-1]
    best = load_file(run / "model" / "model.safetensors")
    return load_file(newest) | {f"best.{name}": v for name, v in best.items()}


def _assert_same(run: Path, other: Path) -> None:
    ours, theirs = _all_weights(run), _all_weights(other)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


@pytest.fixture(scope="module")
def unstopped(tmp_path_factory) -> tuple[Path, Path, Path]:
    """Return data, cache and a run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("unstopped")
    data = paint_cohort(folder / "data", people=16)
    _run(folder / "cache", "train", data, *SETTINGS, "--out", folder / "run")
    return data, folder / "cache", folder / "run"


def _kill_when(
    process: subprocess.Popen[bytes], is_time, *, timeout: float = 60
) -> None:
    deadline = time.monotonic() + timeout
    while not is_time() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("step", [0, 1, 3, 5])
def test_killed_at_any_moment_and_resumed_gives_the_same_bits(
    unstopped, tmp_path, step
) -> None:
    data, cache, whole = unstopped
    out = tmp_path / "run"
    process = subprocess.Popen(
        _command("train", data, *SETTINGS, "--out", out, "--cache", cache),
        stderr=subprocess.DEVNULL,
    )
    _kill_when(
        process,
        lambda: (
            out.exists()
            if step == 0
            else (out / "checkpoints" / f"step-{step:09d}.json").exists()
        ),
    )
    _run(cache, "train", "--resume", out)
    _assert_same(out, whole)


@pytest.mark.slow
def test_killed_twice_and_resumed_gives_the_same_bits(unstopped, tmp_path) -> None:
    data, cache, whole = unstopped
    out = tmp_path / "run"
    start = _command("train", data, *SETTINGS, "--out", out, "--cache", cache)
    go_on = _command("train", "--resume", out, "--cache", cache)
    for arguments, step in ((start, 2), (go_on, 6)):
        process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
        _kill_when(process, (out / "checkpoints" / f"step-{step:09d}.json").exists)
    _run(cache, "train", "--resume", out)
    _assert_same(out, whole)


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_costs_a_step_and_no_result(
    unstopped, tmp_path
) -> None:
    data, cache, whole = unstopped
    out = tmp_path / "run"
    process = subprocess.Popen(
        _command("train", data, *SETTINGS, "--out", out, "--cache", cache),
        stderr=subprocess.DEVNULL,
    )
    _kill_when(process, (out / "checkpoints" / "step-000000003.json").exists)
    newest = sorted((out / "checkpoints").glob("*.safetensors"))[-1]
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    told = _run(cache, "train", "--resume", out).stderr
    assert "is damaged" in told
    _assert_same(out, whole)


@pytest.mark.slow
def test_a_finished_run_is_left_as_it_is(unstopped) -> None:
    _, cache, whole = unstopped
    before = _all_weights(whole)
    _run(cache, "train", "--resume", whole)
    assert all(torch.equal(before[k], v) for k, v in _all_weights(whole).items())


@pytest.mark.slow
def test_terminating_says_143_and_the_run_can_go_on(unstopped, tmp_path) -> None:
    data, cache, whole = unstopped
    out = tmp_path / "run"
    process = subprocess.Popen(
        _command("train", data, *SETTINGS, "--out", out, "--cache", cache),
        stderr=subprocess.DEVNULL,
    )
    while not (out / "checkpoints" / "step-000000001.json").exists():
        time.sleep(0.01)
        if process.poll() is not None:
            break  # a fast machine was done first
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) in (0, 128 + signal.SIGTERM)
    _run(cache, "train", "--resume", out)
    _assert_same(out, whole)


@pytest.mark.slow
def test_resuming_refuses_other_settings_other_scans_and_no_run(
    unstopped, tmp_path
) -> None:
    data, cache, whole = unstopped
    with pytest.raises(ConfigError, match=r"train\.epochs"):
        training.resume(whole, config=RunConfig(), cache=cache)
    other = Cohort.from_path(paint_cohort(tmp_path / "other", people=8))
    with pytest.raises(DataError, match="not the scans"):
        training.resume(whole, cohort=other, cache=cache)
    with pytest.raises(DataError, match="not a run folder"):
        training.resume(tmp_path, cache=cache)
    with pytest.raises(DataError, match="is there already"):
        training.train(Cohort.from_path(data), out=whole, cache=cache)


@pytest.mark.slow
def test_the_seed_decides_everything_and_another_seed_something_else(
    unstopped, tmp_path
) -> None:
    data, cache, whole = unstopped
    _run(cache, "train", data, *SETTINGS, "--out", tmp_path / "same")
    _assert_same(tmp_path / "same", whole)
    _run(cache, "train", data, *SETTINGS, "--seed=1", "--out", tmp_path / "other")
    ours, theirs = _all_weights(tmp_path / "other"), _all_weights(whole)
    assert not torch.equal(ours["model.head.weight"], theirs["model.head.weight"])
