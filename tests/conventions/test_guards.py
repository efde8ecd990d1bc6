"""Each guard stands where its entry says, and what tries them tells those that fail."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests import guards

CODE = "def floored(x):\n    if x < 0:\n        return 0\n    return x\n"
TESTS = """from floored import floored

def test_below():
    assert floored(-1) == 0

def test_above():
    assert floored(1) == 1

def test_wrong():
    assert floored(1) == 2
"""
GUARD = """
[[guard]]
name = "{name}"
file = "src/floored.py"
pattern = "{pattern}"
replacement = "if False:"
tests = ["tests/test_floored.py::{test}"]
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Return a function that lists guards in a toy tree and tries them."""
    for name, text in {"src/floored.py": CODE, "tests/test_floored.py": TESTS}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    monkeypatch.setattr(guards, "READ_FIRST", [])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def tried(*listed: dict[str, str], words: Sequence[str] = ()) -> int:
        text = "".join(
            GUARD.format_map({"name": "one", "pattern": "if x < 0:"} | one)
            for one in listed
        )
        (tmp_path / guards.LIST).write_text(text)
        return guards.main(["--root", str(tmp_path), "--jobs", "1", *words])

    return tried


def test_every_guard_stands_where_its_entry_says_and_has_tests(repository) -> None:
    listed = guards.read(repository)
    assert [fault for guard in listed for fault in guard.faults(repository)] == []
    assert len({guard.name for guard in listed}) == len(listed) >= 30


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"pattern": "if x > 0:", "test": "test_below"}, "stands 0 times"),
        ({"pattern": "return", "test": "test_below"}, "stands 2 times"),
        ({"test": "test_missing"}, "there is no test"),
    ],
)
def test_an_entry_that_fits_nothing_is_told_before_any_test_runs(
    toy, capsys, entry, said
) -> None:
    assert toy(entry) == 1
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == "0 guards tried, 1 faults\n"


@pytest.mark.slow
def test_a_guard_that_can_be_lost_is_told_and_a_noticed_one_is_not(
    toy, capsys, tmp_path
) -> None:
    both = ({"test": "test_below"}, {"name": "two", "test": "test_above"})
    assert toy(*both) == 1
    told = capsys.readouterr()
    assert "noticed one" in told.out
    assert "two: can be lost, and its tests pass" in told.err
    assert "2 guards tried, 1 faults" in told.out
    assert toy(both[0]) == 0
    assert (tmp_path / "src/floored.py").read_text() == CODE


@pytest.mark.slow
def test_a_guard_that_there_was_no_time_for_is_not_called_tried(toy, capsys) -> None:
    assert toy({"test": "test_above"}, words=["--minutes=-1"]) == 0
    assert "0 guards tried, 0 faults, no time for 1" in capsys.readouterr().out


@pytest.mark.slow
def test_tests_that_fail_with_the_guard_in_place_prove_nothing(toy, capsys) -> None:
    assert toy({"test": "test_wrong"}) == 1
    assert "fail with every guard in place" in capsys.readouterr().err


def test_a_commit_draws_the_same_guards_again(repository: Path) -> None:
    listed = guards.read(repository)
    asked = argparse.Namespace(only="", draw=10, root=repository)
    drawn = guards.chosen(listed, asked)
    assert len({one.name for one in drawn}) == 10
    assert drawn == guards.chosen(listed, asked)
    asked.only = "server"
    assert all("server" in one.name for one in guards.chosen(listed, asked))
