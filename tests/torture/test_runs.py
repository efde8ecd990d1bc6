"""What happens to a run and its machine: locks, clocks, locales, closed streams."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.integration.conftest import TINY, paint_cohort

from vit_dementia.training import checkpoint, loop

pytestmark = pytest.mark.torture

QUICK = (*TINY, "--epochs=2", "--batch-size=4", "--train.checkpoint-minutes=0")


@pytest.fixture
def finished(trained, tmp_path) -> Path:
    """Return a copy of a run that is done."""
    return Path(shutil.copytree(trained / "run", tmp_path / "finished"))


def test_a_lock_of_a_dead_process_holds_nobody_up(trained, finished, command) -> None:
    (finished / ".lock").write_text("4711")  # row run-stale-lock
    words = ("--resume", finished, "--cache", trained / "cache")
    command("train", trained / "data", *words)


def test_a_clock_that_was_set_does_not_choose_the_checkpoint(finished) -> None:
    folder = finished / "checkpoints"  # row run-clock
    files = sorted(folder.iterdir())
    before = checkpoint.newest(folder)
    assert len(files) > 2
    for place, file in enumerate(files):  # the older, the later by the clock
        os.utime(file, (2**31 - 1000 * place,) * 2)
    assert checkpoint.newest(folder) == before
    for file in files:
        os.utime(file, (0, 0))
    assert checkpoint.newest(folder) == before


def test_a_clock_that_is_set_while_it_trains_changes_nothing(
    trained, command, monkeypatch
) -> None:
    real, steps = loop.set_learning_rate, []

    def back_and_forth(optimizer, learning_rate) -> None:
        steps.append(learning_rate)
        now = (0.0, 4e9)[len(steps) % 2]
        monkeypatch.setattr(time, "time", lambda: now)
        real(optimizer, learning_rate)

    monkeypatch.setattr(loop, "set_learning_rate", back_and_forth)
    data, cache = trained / "data", trained / "cache"
    command("train", data, *QUICK, "--cache", cache, "--out=run")
    command("predict", "run", data / "MildDemented" / "sub-001_slice-0.png")


def test_a_run_folder_that_goes_while_it_trains_is_told(
    trained, command, tmp_path, monkeypatch
) -> None:
    real, steps = loop.set_learning_rate, []

    def gone(optimizer, learning_rate) -> None:
        steps.append(learning_rate)
        if len(steps) == 4:
            shutil.rmtree(tmp_path / "run")
        real(optimizer, learning_rate)

    monkeypatch.setattr(loop, "set_learning_rate", gone)
    done = command(
        "train", trained / "data", *QUICK, "--cache", trained / "cache", "--out=run",
        check=2,
    )  # fmt: skip
    assert "run: is gone" in done.stderr.splitlines()[-1]


def test_a_cache_that_is_gone_is_made_anew(trained, command, tmp_path) -> None:
    words = ("train", trained / "data", *TINY, "--epochs=0", "--cache=cache")
    command(*words, "--out=one")
    shutil.rmtree(tmp_path / "cache")
    command(*words, "--out=two")
    assert list((tmp_path / "cache").glob("*.npy"))


def test_scans_that_are_gone_are_told_and_no_neighbor_takes_their_place(
    command, tmp_path
) -> None:
    data = paint_cohort(tmp_path / "data", people=24)
    command("train", data, *QUICK, "--cache=cache", "--out=run")
    shutil.rmtree(tmp_path / "cache")
    shutil.rmtree(data / "MildDemented")
    done = command("evaluate", "run", "--cache=cache", check=2)
    assert "MildDemented" in done.stderr
    assert not (tmp_path / "run" / "evaluation" / "test" / "metrics.json").exists()


@pytest.fixture
def accented(trained, tmp_path) -> Path:
    """Return a slice whose name not every terminal can show."""
    path = tmp_path / "Müller_ä.png"
    shutil.copy(trained / "data" / "MildDemented" / "sub-001_slice-0.png", path)
    return path


def called(*words: object, **how) -> subprocess.CompletedProcess[bytes]:
    asked = [sys.executable, "-m", "vit_dementia", *map(str, words)]
    return subprocess.run(asked, check=False, **how)


def test_a_terminal_of_plain_letters_is_written_to_as_it_can_be(
    trained, accented
) -> None:
    plain = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    done = called(  # row run-locale
        "predict", trained / "run", accented,
        env=os.environ | plain, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"ller" in done.stdout
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that closes streams")
@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_stream_that_is_closed_is_not_written_to(trained, accented, closed) -> None:
    words = ["predict", trained / "run", accented, "--json"]
    words = {"1": ["--help"], "2": words}[closed]
    asked = [sys.executable, "-m", "vit_dementia", *map(str, words)]
    done = subprocess.run(  # row run-closed-stream
        ["/bin/sh", "-c", f'exec "$@" {closed}>&-', "sh", *asked],
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    if closed == "2":
        assert json.loads(done.stdout)["results"][0]["probabilities"]
    else:
        assert done.stderr == b""
