"""Limits hold in this process and in those that it starts, and end with the command."""

from __future__ import annotations

import subprocess
import sys

from vit_dementia.cli.app import run
from vit_dementia.limits import LIMITS, Limits, carried, carry, changed

TOLD = "from vit_dementia.limits import LIMITS; print(LIMITS.pixels, LIMITS.voxels)"


def started() -> str:
    return subprocess.run(
        [sys.executable, "-c", TOLD], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_limit_reaches_a_process_that_is_started() -> None:
    with changed({"pixels": 100}), changed({"voxels": 7}):
        assert started() == "100 7"


def test_limits_end_where_they_were_set() -> None:
    with changed({"pixels": 100}):
        with changed({"pixels": 5, "sides": 2.0}):
            assert carried() == {"pixels": 5, "sides": 2.0}
        assert carried() == {"pixels": 100}
    assert Limits() == LIMITS


def test_a_worker_that_is_told_limits_forgets_those_before() -> None:
    with changed({}):
        carry({"pixels": 100})
        carry({"voxels": 7})
        assert carried() == {"voxels": 7}
    assert Limits() == LIMITS


def test_a_limit_of_a_command_ends_with_it(tmp_path, capsys) -> None:
    (tmp_path / "a.txt").touch()
    assert run(["check", str(tmp_path), "--limits.pixels=1"]) == 2
    assert Limits() == LIMITS
    assert run(["check", str(tmp_path), "--limits.pixel=1"]) == 2
    assert "did you mean --limits.pixels?" in capsys.readouterr().err
