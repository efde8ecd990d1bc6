"""A private folder goes with its process, and with the next if that was killed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vit_dementia.data.private import private_folder

HOLD = """
import sys
from vit_dementia.data.private import private_folder
with private_folder() as folder:
    (folder / "scan").write_bytes(b"of somebody")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def aside(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_it_is_for_its_owner_alone_and_goes(tmp_path) -> None:
    with private_folder() as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "scan").write_bytes(b"of somebody")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_at_the_next_start_and_no_more(
    tmp_path,
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "vit-dementia-private-link").symlink_to(tmp_path / "elsewhere")
    killed, alive = (
        subprocess.Popen(
            [sys.executable, "-c", HOLD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    )
    left, used = (tmp_path / one.stdout.readline().strip() for one in (killed, alive))
    try:
        killed.kill()
        killed.communicate()
        assert (left / "scan").exists()
        with private_folder():
            assert not left.exists()
            assert (used / "scan").exists()
    finally:
        alive.communicate("")
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "elsewhere",
        "vit-dementia-private-link",
    ]
