"""A pipe or a device in place of any file that is read is refused, never waited for."""

from __future__ import annotations

import os
import shutil
import signal

import pytest
from tests.integration.conftest import TINY

from vit_dementia.data.pseudonyms import read_salt
from vit_dementia.errors import DataError

pytestmark = pytest.mark.torture

PATIENCE = 60  # seconds, of a busy machine
NAMED = {
    "pipe-recipe": ("train", "DATA", *TINY, "--recipe", "PIPE"),
    "pipe-split": ("train", "DATA", *TINY, "--split", "PIPE"),
    "pipe-participants": ("check", "DATA", "--participants", "PIPE"),
    "pipe-table": ("check", "PIPE"),
    "pipe-scans": ("predict", "RUN", "PIPE"),
    "pipe-people": ("predict", "RUN", "SCAN", "--participants", "PIPE"),
    "pipe-space": ("tune", "DATA", *TINY, "--space", "PIPE"),
    "pipe-predictions": ("evaluate", "--predictions", "PIPE"),
    "pipe-token": ("serve", "RUN", "--host=0.0.0.0", "--token-file", "PIPE"),
    "pipe-weights": ("train", "DATA", *TINY, "--init", "PIPE"),
}
WITHIN = {
    "pipe-config": "config.toml",
    "pipe-history": "history.jsonl",
    "pipe-run-split": "split.json",
    "pipe-cohort": "cohort.tsv",
    "pipe-cohort-facts": "cohort.json",
}


@pytest.fixture(autouse=True)
def _never_waited_for():
    """End a test that waits."""

    def fail(*_):
        raise AssertionError("it is waited for")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=["pipe", "device"])
def odd(request, tmp_path):
    """Return a pipe that nobody writes to, or a device that never ends."""
    path = tmp_path / "odd.tsv"
    if request.param == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("name", NAMED)
def test_a_pipe_or_device_that_is_named_is_refused(
    trained, command, tmp_path, odd, name
) -> None:
    places = {
        "DATA": trained / "data",
        "RUN": trained / "run",
        "SCAN": trained / "data" / "MildDemented" / "sub-001_slice-0.png",
        "PIPE": odd,
    }
    done = command(*(places.get(word, word) for word in NAMED[name]), check=2)
    (line,) = done.stderr.strip().splitlines()[-1:]
    assert str(odd) in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", WITHIN)
def test_a_pipe_within_a_run_is_refused(trained, command, tmp_path, name) -> None:
    run = shutil.copytree(trained / "run", tmp_path / "run")
    (run / WITHIN[name]).unlink()
    os.mkfifo(run / WITHIN[name])
    done = command("train", trained / "data", "--resume", run, check=2)
    assert WITHIN[name] in done.stderr


# row pipe-salt
def test_a_pipe_in_place_of_the_salt_is_refused(odd) -> None:
    with pytest.raises(DataError, match="not a regular file"):
        read_salt(odd)
