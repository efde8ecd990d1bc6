"""Slow tests end with their time, and their end is nobody's failure."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

CI = Path(__file__).resolve().parents[2] / ".ci"

TESTS = {
    "short": "def test(): pass",
    "wrong": "def test(): assert False",
    "long": "import time\ndef test(): time.sleep(60)",
    "waiting": (
        "import subprocess, sys\n"
        "def test():\n"
        "    with subprocess.Popen(\n"
        "        [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "    ):\n"
        "        raise_when_told()\n"
        "def raise_when_told():\n"
        "    import time\n"
        "    time.sleep(60)\n"
    ),
    "failing": (
        "import time\n"
        "def test():\n"
        "    try:\n"
        "        time.sleep(60)\n"
        "    except BaseException:\n"
        "        raise AssertionError('what it had started is gone') from None\n"
    ),
    "closing": (
        "import time, pytest\n"
        "@pytest.fixture\n"
        "def server():\n"
        "    yield\n"
        "    raise RuntimeError('gone')\n"
        "def test(server): time.sleep(60)\n"
    ),
    "beginning": (
        "import time, pytest\n"
        "@pytest.fixture\n"
        "def server():\n"
        "    time.sleep(60)\n"
        "def test(server): pass\n"
    ),
    "leaving": (
        "import subprocess, sys, time\n"
        "class Ring: pass\n"
        "def test():\n"
        "    ring = Ring()\n"
        "    ring.itself = ring\n"
        "    ring.process = subprocess.Popen(\n"
        "        [sys.executable, '-c', 'import time; time.sleep(20)']\n"
        "    )\n"
        "    time.sleep(60)\n"
    ),
}  # fmt: skip


def _run(folder: Path, *, seconds: float) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return subprocess.run(
        [
            sys.executable, "-m", "pytest", "-p", "slow_tests_that_fit",
            "-p", "no:cacheprovider", "-rA", str(folder),
        ],
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(CI),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "SLOW_TESTS_DEADLINE": str(time.time() + seconds),
        },
        capture_output=True,
        text=True,
        timeout=50,
        cwd=folder,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "seconds", "end"),
    [
        ("wrong", 60, "1 failed"),
        ("short", -1, "1 skipped"),
        ("failing", 4, "1 skipped"),
        ("closing", 4, "2 skipped"),
        pytest.param("short", 60, "1 passed", marks=pytest.mark.slow),
        pytest.param("long", 2, "1 skipped", marks=pytest.mark.slow),
        pytest.param("beginning", 4, "1 skipped", marks=pytest.mark.slow),
        pytest.param("waiting", 4, "1 skipped", marks=pytest.mark.slow),
        pytest.param("leaving", 4, "1 skipped", marks=pytest.mark.slow),
    ],
)
def test_a_test_fails_only_by_itself(tmp_path, name, seconds, end) -> None:
    (tmp_path / f"test_{name}.py").write_text(TESTS[name])
    run = _run(tmp_path, seconds=seconds)
    assert f"= {end} in " in run.stdout, run.stdout
    assert ("no time left" in run.stdout) == (seconds < 60)
    assert run.returncode == ("failed" in end), run.stderr
