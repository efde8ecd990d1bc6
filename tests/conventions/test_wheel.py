"""The wheel holds what it needs, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of the present work tree."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            folder,
        ],
        cwd=repository,
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return path


def test_wheel_holds_every_file_of_the_package(
    wheel, repository, tracked_files
) -> None:
    source = repository / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for path in tracked_files
        if path.is_relative_to(source)
    }
    held = set(zipfile.ZipFile(wheel).namelist())
    assert wanted - held == set()
    strangers = {name for name in held - wanted if ".dist-info/" not in name}
    assert {name for name in strangers if not name.startswith("vit_dementia/")} == set()


def test_installed_wheel_answers_without_the_repository(wheel, tmp_path) -> None:
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
         "--no-index", "--target", site, wheel],
        check=True,
    )  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(site)}
    where = subprocess.run(
        [sys.executable, "-c", "import vit_dementia; print(vit_dementia.__file__)"],
        cwd=tmp_path, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert Path(where.stdout.strip()).is_relative_to(site)
    help_page = subprocess.run(
        [sys.executable, site / "bin" / "vit-dementia", "--help"],
        cwd=tmp_path, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "train" in help_page.stdout
