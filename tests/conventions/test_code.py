"""Modules stay small, well named, and import downward only."""

from __future__ import annotations

import logging.config
import sys
from pathlib import Path

from importlinter import cli as import_linter

LONGEST_MODULE = 350  # lines; about 300 is the aim, the rest is room to breathe
VAGUE_NAMES = {"utils", "util", "helpers", "common", "base", "manager", "misc"}


def modules(repository: Path) -> list[Path]:
    return sorted((repository / "src" / "vit_dementia").rglob("*.py"))


def test_every_module_is_read_in_one_sitting(repository: Path) -> None:
    lengths = {
        str(path.relative_to(repository)): len(path.read_text("utf-8").splitlines())
        for path in modules(repository)
    }
    assert {n: k for n, k in lengths.items() if k > LONGEST_MODULE} == {}


def test_modules_are_named_after_what_they_do(repository: Path) -> None:
    root = repository / "src" / "vit_dementia"
    names = {
        path: {path.stem, *path.relative_to(root).parts[:-1]}
        for path in modules(repository)
    }
    vague = [str(path) for path, words in names.items() if words & VAGUE_NAMES]
    assert vague == []


def test_imports_point_down_only(repository: Path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(repository)  # the contracts stand in pyproject.toml
    monkeypatch.setattr(sys, "path", [*sys.path])  # the linter adds to it
    monkeypatch.setattr(logging.config, "dictConfig", lambda _: None)  # silences ours
    status = import_linter.lint_imports(no_cache=True, no_logo=True)
    assert status == import_linter.EXIT_STATUS_SUCCESS, capfd.readouterr().out
