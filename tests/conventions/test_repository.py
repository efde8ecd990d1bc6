"""The repository holds no machine's paths, nothing big, no scan and no weights."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LARGEST_FILE = 1_000_000  # bytes
VENDORED = "niivue.umd.js"  # as it was released; its hash is checked where it is used

# Folders of one machine; a temporary folder is on all of them.
MACHINE_PATH = re.compile(
    r"(?<![\w.~}\])/-])/(?:home|root|User[s]|wor[k]|workspace|mnt|srv|opt)/\w"
    r"|\b[A-Z]:\\User[s]\\"
)
# A mirror or an index is the choice of whoever installs, not the project's.
REGISTRY_HOST = re.compile(
    r"pypi\.(?:or[g]|python)|pythonhosted\.or[g]|npmjs\.or[g]|deb\.debian\.or[g]"
    r"|pytorch\.org/wh[l]|index-url\s*=|file:///(?!etc)\w"
)
SCANS_AND_WEIGHTS = {
    ".nii", ".gz", ".mgz", ".img", ".dcm", ".ima",
    ".pt", ".pth", ".ckpt", ".safetensors", ".onnx", ".bin", ".npy", ".npz", ".pkl",
    ".h5", ".zip", ".tar", ".parquet",
}  # fmt: skip
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".tif", ".tiff", ".bmp"}


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace")


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY_HOST])
def test_no_file_names_a_machine_or_a_registry(tracked_files, pattern) -> None:
    found = [
        f"{path}:{number}: {line.strip()[:80]}"
        for path in tracked_files
        if path.suffix not in PICTURES and path.name != VENDORED
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []


def test_no_file_is_big(tracked_files) -> None:
    big = {
        str(p): size
        for p in tracked_files
        if (size := p.stat().st_size) > LARGEST_FILE and p.name != VENDORED
    }
    assert big == {}


def test_no_file_is_a_scan_or_a_weight_file(tracked_files) -> None:
    assert [str(p) for p in tracked_files if p.suffix in SCANS_AND_WEIGHTS] == []


def test_pictures_are_in_the_documentation_only(repository, tracked_files) -> None:
    pictures = {p.parent for p in tracked_files if p.suffix in PICTURES}
    assert pictures <= {repository / "docs" / "images"}


def test_lines_end_as_on_unix(tracked_files) -> None:
    texts = (p for p in tracked_files if p.suffix not in PICTURES)
    assert [str(p) for p in texts if b"\r" in p.read_bytes()] == []


def test_shapes_are_checked_in_all_runs_but_the_quick_ones(repository) -> None:
    lines = (repository / "Makefile").read_text("utf-8").splitlines()
    runs = [line.strip() for line in lines if line.startswith("\t$(PYTEST)")]
    quick = ["$(PYTEST)", '$(PYTEST) -m "" tests/torture']
    assert [run for run in runs if "$(SHAPES)" not in run] == quick
    again = [run.replace(" $(SHAPES)", "") for run in runs if "--cov" in run]
    assert [run.split(" --cov")[0] for run in again] == quick[::-1]
