"""What goes wrong in a training is told in one line and costs nothing saved."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vit_dementia.cli.app import run
from vit_dementia.recipes import from_toml
from vit_dementia.training import checkpoint, loop, run_folder
from vit_dementia.training.disk import held

from .conftest import TINY, paint_cohort

SETTINGS = (
    *TINY,
    "--epochs=2",
    "--batch-size=4",
    "--vit.dropout=0.1",
    "--train.checkpoint-minutes=0",  # after every update
    "--data.test=0",
)


@pytest.fixture(scope="module")
def unstopped(tmp_path_factory) -> tuple[Path, Path, Path]:
    """Return data, cache and a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("unstopped")
    data, cache = paint_cohort(folder / "data"), folder / "cache"
    arguments = ["train", str(data), *SETTINGS, "--cache", str(cache)]
    assert run([*arguments, "--out", str(folder / "run")]) == 0
    return data, cache, folder / "run"


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    newest = sorted((folder / "checkpoints").glob("*.safetensors"))[-1]
    best = load_file(folder / "model" / "model.safetensors")
    return load_file(newest) | {f"best.{name}": value for name, value in best.items()}


def _assert_same(folder: Path, other: Path) -> None:
    ours, theirs = _weights(folder), _weights(other)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def _at_step(monkeypatch, number: int, happens) -> None:
    """Let something happen before a step, the first time a run comes to it."""
    real, steps = loop.set_learning_rate, []

    def count(optimizer, learning_rate) -> None:
        steps.append(learning_rate)
        if len(steps) == number + 1:
            happens()
        real(optimizer, learning_rate)

    monkeypatch.setattr(loop, "set_learning_rate", count)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_who_asks_to_stop_is_told_how_to_go_on_and_nothing_is_lost(
    unstopped, command, tmp_path, monkeypatch, number, code
) -> None:
    data, cache, whole = unstopped
    _at_step(monkeypatch, 2, lambda: os.kill(os.getpid(), number))
    told = command(
        "train", data, *SETTINGS, "--cache", cache, "--out=run", check=code
    ).stderr.splitlines()
    assert told[-1] == (
        "vit-dementia: stopped after step 3 of 10, which is saved; go on with: "
        "vit-dementia train --resume run"
    )
    command("train", "--resume", "run", "--cache", cache)
    _assert_same(tmp_path / "run", whole)


def test_who_asks_twice_need_not_wait_for_the_step(
    unstopped, command, monkeypatch
) -> None:
    data, cache, _ = unstopped

    def twice() -> None:
        # To this thread: of two that wait for it in another, one would be lost.
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    _at_step(monkeypatch, 2, twice)
    # What a shell starts in the background ignores Ctrl-C, and so would this test.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        told = command(
            "train", data, *SETTINGS, "--cache", cache, "--out=run", check=130
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert told.stderr.endswith("vit-dementia: interrupted\n")


def test_a_full_disk_is_told_in_one_line_and_what_was_saved_is_kept(
    unstopped, command, tmp_path, monkeypatch
) -> None:
    data, cache, whole = unstopped
    real, saved = checkpoint.save_file, []

    def save_file(tensors, path) -> None:
        saved.append(path)
        if len(saved) == 3:
            Path(path).write_bytes(b"half a checkpoint")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", save_file)
    told = command("train", data, *SETTINGS, "--cache", cache, "--out=run", check=2)
    assert "Traceback" not in told.stderr
    last = told.stderr.splitlines()[-1]
    assert "cannot be written (No space left on device)" in last
    assert last.endswith("go on with: vit-dementia train --resume run")
    steps = sorted(file.stem for file in (tmp_path / "run/checkpoints").glob("*.json"))
    assert steps == ["step-000000001", "step-000000002"]
    command("train", "--resume", "run", "--cache", cache)
    _assert_same(tmp_path / "run", whole)


def test_a_folder_that_cannot_be_written_is_told_before_the_first_step(
    unstopped, command, tmp_path, monkeypatch
) -> None:
    data, cache, _ = unstopped

    def write_text(path, _text) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(run_folder, "write_text", write_text)
    told = command("train", data, *SETTINGS, "--cache", cache, "--out=run", check=2)
    assert "cannot be written (Read-only file system)" in told.stderr
    assert "give another folder by --out" in told.stderr
    assert [path.name for path in tmp_path.iterdir()] == []


def test_two_trainings_in_one_folder_are_one_too_many(unstopped, command) -> None:
    _, cache, whole = unstopped
    with held(whole):
        told = command("train", "--resume", whole, "--cache", cache, check=2)
    assert "another process trains in this folder" in told.stderr
    command("train", "--resume", whole, "--cache", cache)  # it ended


@pytest.fixture
def stopped(unstopped, tmp_path) -> Path:
    """Return a copy of the run, back in the middle of its last epoch."""
    _, _, whole = unstopped
    folder = Path(shutil.copytree(whole, tmp_path / "stopped"))
    for file in sorted((folder / "checkpoints").iterdir())[-2:]:
        file.unlink()
    return folder


def test_going_on_with_scans_that_were_changed_is_refused(
    unstopped, stopped, command, tmp_path
) -> None:
    data, cache, whole = unstopped
    moved = Path(shutil.copytree(data, tmp_path / "moved"))
    first, second = sorted((moved / "NonDemented").iterdir())[:2]
    shutil.copy(second, first)
    told = command("train", moved, "--resume", stopped, "--cache", cache, check=2)
    assert "scans or classes have changed since the run was stopped" in told.stderr
    shutil.copy(data / "NonDemented" / first.name, first)
    command("train", moved, "--resume", stopped, "--cache", cache)
    _assert_same(stopped, whole)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("--label-map=MildDemented=Demented", "these are not the scans of"),
        ("--classes=MildDemented,NonDemented", "scans or classes have changed"),
    ],
)
def test_going_on_with_other_classes_is_refused(
    unstopped, stopped, command, change, told
) -> None:
    data, cache, _ = unstopped
    found = command(
        "train", data, change, "--resume", stopped, "--cache", cache, check=2
    )
    assert told in found.stderr


def test_going_on_with_another_network_is_refused(unstopped, stopped, command) -> None:
    data, cache, _ = unstopped
    config = stopped / "config.toml"
    config.write_text(config.read_text().replace("depth = 2", "depth = 3"))
    told = command("train", data, "--resume", stopped, "--cache", cache, check=2)
    assert "does not fit this run's model" in told.stderr


@pytest.fixture
def small_memory(monkeypatch) -> list[int]:
    """Let no more than four slices fit into memory; return the sizes that were met."""
    real, sizes = loop.classify, []

    def classify(*arguments, **options):
        objective = real(*arguments, **options)

        def within_memory(model, batch):
            sizes.append(len(batch.images))
            if len(batch.images) > 4:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
            return objective(model, batch)

        return within_memory

    monkeypatch.setattr("vit_dementia.training.classification.classify", classify)
    return sizes


@pytest.mark.usefixtures("in_float32")
def test_a_batch_beyond_the_memory_is_told_with_the_size_that_fits(
    unstopped, command, small_memory
) -> None:
    data, cache, _ = unstopped
    told = command(
        "train", data, *TINY, "--batch-size=12", "--cache", cache, "--out=run", check=2
    ).stderr.splitlines()
    assert told[-1] == (
        "vit-dementia: train.batch_size: 12 slices at once do not fit into the memory "
        "of cpu, float32; 4 would: begin anew with --batch-size 4 --train.accumulate "
        "3, which is the same update, or --batch-size auto"
    )
    assert small_memory == [12, 6, 4]


def test_the_batch_size_that_fits_is_found_and_the_update_stays_as_large(
    unstopped, command, tmp_path, small_memory
) -> None:
    data, cache, _ = unstopped
    common = (*TINY, "--epochs=1", "--cache", cache)
    told = command("train", data, *common, "--batch-size=auto", "--out=found")
    assert (
        "4 slices at once fit into memory, 4 times for an update of 16" in told.stderr
    )
    assert small_memory[:3] == [16, 8, 4]
    settings = from_toml(tmp_path / "found/config.toml").train
    assert (settings.batch_size, settings.accumulate) == (4, 4)
    command(
        "train", data, *common, "--batch-size=4", "--train.accumulate=4", "--out=given"
    )
    _assert_same(tmp_path / "found", tmp_path / "given")


def test_a_network_of_which_no_slice_fits_is_told(
    unstopped, command, monkeypatch
) -> None:
    data, cache, _ = unstopped

    def classify(*_arguments, **_options):
        def beyond_memory(_model, _batch):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

        return beyond_memory

    monkeypatch.setattr("vit_dementia.training.classification.classify", classify)
    for flag in ("--batch-size=auto", "--batch-size=2"):
        told = command(
            "train", data, *TINY, flag, "--cache", cache, "--out", f"run{flag}", check=2
        )
        assert "needs a smaller --model or image size" in told.stderr


def test_the_same_command_gives_the_same_numbers_with_deterministic_algorithms_only(
    unstopped, command, tmp_path
) -> None:
    data, cache, whole = unstopped
    command("train", data, *SETTINGS, "--deterministic", "--cache", cache, "--out=run")
    assert not torch.are_deterministic_algorithms_enabled()
    _assert_same(tmp_path / "run", whole)  # on a CPU they are the usual ones


def test_a_stopped_cross_validation_goes_on_as_a_whole(
    unstopped, command, monkeypatch
) -> None:
    data, cache, _ = unstopped
    _at_step(monkeypatch, 2, lambda: os.kill(os.getpid(), signal.SIGINT))
    told = command(
        "cross-validate", data, *TINY, "--folds=2", "--cache", cache, "--out=folds",
        check=130,
    )  # fmt: skip
    assert told.stderr.endswith(
        "go on with: vit-dementia cross-validate --resume folds\n"
    )


def test_a_cross_validation_is_for_one_process(unstopped, command, monkeypatch) -> None:
    for name, value in {
        "TORCHELASTIC_RUN_ID": "1", "RANK": "0", "LOCAL_RANK": "0",
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    told = command("cross-validate", unstopped[0], check=2)
    assert "cross-validate: found 2 processes; needs one" in told.stderr
