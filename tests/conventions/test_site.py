"""The documentation builds as a site, every page in its place."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("mkdocs") is None, reason="needs the docs group"),
]


def test_site_builds_without_a_warning_and_fetches_nothing(
    repository, tmp_path
) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    commands = (tmp_path / "reference" / "cli.html").read_text("utf-8")
    assert "--learning-rate" in commands
    assert "layer_norm_eps" in (tmp_path / "reference" / "config.html").read_text(
        "utf-8"
    )
    loaded = {
        line.strip()
        for page in tmp_path.rglob("*.html")
        for line in page.read_text("utf-8").splitlines()
        if ("<script src=" in line or "<link" in line) and "http" in line
    }
    assert {line for line in loaded if "canonical" not in line} == set()
