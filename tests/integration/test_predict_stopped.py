"""``predict`` that is stopped: its tables are true meanwhile, and it ends the same."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tests.unit.serving.served import SLICES, picture, write_model

from vit_dementia.inference import predictor as module
from vit_dementia.inference.growing import GrowingTables
from vit_dementia.inference.predictor import Predictor
from vit_dementia.workflows import explain

NUM_SCANS, BATCH = 11, 3
BAD = Path("scans") / "sub-1_04.png"
TABLES = ("predictions.tsv", "predictions_participants.tsv")
KILLED = f"""
import os, signal, sys
from vit_dementia.cli.app import main
from vit_dementia.inference import predictor
from vit_dementia.workflows import explain
predictor.BATCH_SIZE = {BATCH}
home, name = {{"read": (predictor.Predictor, "_prepared"),
               "map": (explain, "_explain")}}[sys.argv[1]]
as_it_was, left = getattr(home, name), [int(sys.argv[2])]
def counted(*given):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return as_it_was(*given)
setattr(home, name, counted)
main(sys.argv[3:])
"""


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """Return slices of people with several each, one of them damaged; small batches."""
    monkeypatch.setattr(module, "BATCH_SIZE", BATCH)
    (tmp_path / "scans").mkdir()
    files = [
        tmp_path / "scans" / f"sub-{number % 3}_{number:02}.png"
        for number in range(NUM_SCANS)
    ]
    for number, file in enumerate(files):
        Image.fromarray(picture(number)).save(file)
    (tmp_path / BAD).write_bytes(b"no picture")
    return sorted(files)


@pytest.fixture
def run(tmp_path):
    return write_model(tmp_path / "run", SLICES)


def tables(folder) -> list[bytes]:
    return [(Path(folder) / name).read_bytes() for name in TABLES]


@pytest.mark.parametrize("read", [pytest.param(4, marks=pytest.mark.slow), 10])
def test_tables_hold_what_was_answered_and_end_as_if_never_stopped(
    read, run, scans, command, monkeypatch
) -> None:
    words = ("predict", run, "scans", "--json", "--device=cpu")
    whole = command(*words, "--out=whole", check=3).stdout
    begun, as_it_was = [], Predictor._prepared

    def stopped(self, path):
        if len(begun) == read:
            raise KeyboardInterrupt
        begun.append(path)
        return as_it_was(self, path)

    with monkeypatch.context() as patched:
        patched.setattr(Predictor, "_prepared", stopped)
        command(*words, "--out=two", check=130)
    answered = [Path("scans") / one.name for one in scans[: read - read % BATCH]]
    code = 3 if BAD in answered else 0
    command("predict", run, *answered, "--device=cpu", "--out=these", check=code)
    assert tables("two") == tables("these") != tables("whole")
    assert command(*words, "--out=two", check=3).stdout == whole
    assert tables("two") == tables("whole")


def killed(what, after, *words) -> None:
    program = [sys.executable, "-c", KILLED, what, str(after), *map(str, words)]
    done = subprocess.run(program, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.slow
def test_a_killed_process_leaves_true_tables_and_the_next_ends_the_same(
    run, scans, command
) -> None:
    words = ("predict", run, "scans", "--json", "--device=cpu")
    whole = command(*words, "--out=whole", check=3).stdout
    for after in (4, 5):
        killed("read", after, *words, "--out=two")
    head, *lines = Path("two/answered.jsonl").read_text().splitlines()
    assert json.loads(head)["format"] == 4
    assert [len(json.loads(line)) for line in lines] == [BATCH] * 2
    answered = [Path("scans") / one.name for one in scans[: 2 * BATCH]]
    command("predict", run, *answered, "--device=cpu", "--out=these", check=3)
    assert tables("two") == tables("these")
    assert command(*words, "--out=two", check=3).stdout == whole
    assert tables("two") == tables("whole")


@pytest.mark.slow
def test_a_killed_process_leaves_maps_that_are_not_made_again(
    run, scans, command, monkeypatch
) -> None:
    words = ("predict", run, "scans", "--json", "--device=cpu", "--explain")
    whole = command(*words, "--out=whole", check=3).stdout
    killed("map", 4, *words, "--out=two")
    assert len(list(Path("two/maps/kept").iterdir())) == 4
    made, as_it_was = [], explain._explain
    monkeypatch.setattr(
        explain,
        "_explain",
        lambda model, path, *rest: made.append(path) or as_it_was(model, path, *rest),
    )
    assert command(*words, "--out=two", check=3).stdout == whole
    every = [Path("scans") / one.name for one in scans]
    assert made == [one for one in every if one != BAD][4:]
    files = {
        folder: {
            str(file.relative_to(folder)): file.read_bytes()
            for file in Path(folder).rglob("*")
            if file.is_file() and file.suffix != ".npz"
        }
        for folder in ("whole", "two")
    }
    told = [files[folder].pop("answered.jsonl") for folder in files]
    assert told[0] == told[1]
    assert files["two"] == files["whole"]
    made.clear()
    assert command(*words, "--out=two", check=3).stdout == whole
    assert made == []
    Image.fromarray(picture(99)).save(scans[0])
    command(*words, "--out=two", check=3)
    assert scans[0].name in [path.name for path in made]


def test_tables_of_very_many_scans_are_written_less_often(tmp_path) -> None:
    now, written = [0.0], []

    class Slow:
        class predictions:  # noqa: N801  # as an answer has them
            table = (1,)

        @staticmethod
        def write(folder) -> None:
            written.append((now[0], folder))
            now[0] += took

    took = 0.5
    growing = GrowingTables(tmp_path, clock=lambda: now[0])
    for _ in range(3):
        growing(lambda: Slow)
    assert [at for at, _ in written] == [0, 0.5, 1.0]  # each time
    written.clear()
    took = 2.0
    for _ in range(100):
        now[0] += 1.0
        growing(lambda: Slow)
    spent = took * len(written)
    assert 0 < spent <= 0.1 * now[0] + took
    assert {folder for _, folder in written} == {tmp_path}
