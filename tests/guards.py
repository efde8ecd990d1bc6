"""Take guards out of a copy of the tree, one by one, and see that their tests notice.

``python tests/guards.py`` tries all of ``guards.toml``; ``--draw 10`` tries ten, drawn
by the commit; ``--only WORD`` those whose name holds a word; ``--minutes 3`` begins no
other one after three minutes, and says how many were left. It leaves with 1 if a guard
can go unnoticed, if its pattern is not found exactly once, or if its tests fail
with the guard in place, and with 0 otherwise.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[1]
LIST = Path("tests") / "guards.toml"
# Tests run in processes that begin with the large libraries read and nothing of ours.
BARE = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
READ_FIRST = ["torch", "pandas", "sklearn.metrics", "pydantic"]
SLOWEST = 240  # seconds to begin; a test may take 30 more
NOTICED = 1  # how pytest leaves when tests ran and one failed
BROKEN = 70  # how we leave when it could not be started


@dataclass(frozen=True)
class Guard:
    """One line that must not be lost without a test that notices."""

    name: str
    file: str
    pattern: str
    replacement: str
    tests: tuple[str, ...]

    def faults(self, root: Path) -> list[str]:
        """Say what of its entry does not fit the tree."""
        faults = []
        path = root / self.file
        text = path.read_text("utf-8") if path.is_file() else ""
        if (found := text.count(self.pattern)) != 1:
            faults.append(
                f"{self.name}: its pattern stands {found} times in {self.file}; needs "
                "to stand there once"
            )
        for test in self.tests:
            file, _, name = test.partition("::")
            there = root / file
            if not there.exists() or (
                name
                and f"def {name.partition('[')[0]}(" not in there.read_text("utf-8")
            ):
                faults.append(f"{self.name}: there is no test {test}")
        if not self.tests:
            faults.append(f"{self.name}: names no test")
        return faults


def read(root: Path) -> list[Guard]:
    """Return the guards that a tree lists."""
    listed = tomllib.loads((root / LIST).read_text("utf-8"))["guard"]
    return [Guard(**one | {"tests": tuple(one["tests"])}) for one in listed]


def copied(root: Path, to: Path) -> Path:
    """Copy what git tracks, and what it does not ignore, as it is on disk."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(asked, cwd=root, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, to / name)
    return to


def tested(tree: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run tests in a copy; return how pytest left, and the end of what it said."""
    said = tree / "said.txt"
    said.write_text("", "utf-8")
    process = BARE.Process(target=run_pytest, args=(tree, tuple(tests), said))
    process.start()
    process.join(limit := SLOWEST + 30 * len(tests))
    if process.exitcode is None:
        process.kill()
        process.join()
        return -1, f"took longer than {limit} s"
    return process.exitcode, "\n".join(said.read_text("utf-8").splitlines()[-12:])


def run_pytest(tree: Path, tests: tuple[str, ...], said: Path) -> None:
    """Run tests in this process, which then ends with the exit code of pytest."""
    import pytest

    os.environ.pop("PYTEST_ADDOPTS", None)
    os.chdir(tree)
    sys.path[:0] = [str(tree / "src"), str(tree)]
    code = BROKEN
    options = "addopts=--doctest-modules --import-mode=importlib --strict-markers"
    with (
        said.open("w", encoding="utf-8") as file,
        redirect_stdout(file),
        redirect_stderr(file),
        suppress(Exception),  # then the code says that nothing ran
    ):
        code = pytest.main(
            ["-q", "-x", "-o", options, "-p", "no:cacheprovider", *tests]
        )
    sys.exit(int(code))


def tried(guard: Guard, tree: Path) -> str | None:
    """Take a guard out of a copy, run its tests, put it back; return what is wrong."""
    path = tree / guard.file
    whole = path.read_text("utf-8")
    path.write_text(whole.replace(guard.pattern, guard.replacement), "utf-8")
    try:
        # Python takes a compiled file for current by its second and its size.
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
            compiled.unlink()
        code, said = tested(tree, guard.tests)
    finally:
        path.write_text(whole, "utf-8")
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
            compiled.unlink()
    if code == NOTICED:
        return None
    if code == 0:
        return (
            f"{guard.name}: can be lost, and its tests pass: {', '.join(guard.tests)}"
        )
    return f"{guard.name}: its tests could not run (pytest left with {code}):\n{said}"


def chosen(guards: Sequence[Guard], told: argparse.Namespace) -> list[Guard]:
    """Return the guards that were asked for."""
    named = [guard for guard in guards if told.only in guard.name]
    if not told.draw or told.draw >= len(named):
        return named
    asked = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(asked, cwd=told.root, capture_output=True, check=True)
    return random.Random(commit.stdout).sample(named, told.draw)


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the guards that were asked for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draw", type=int, default=0, help="how many; 0: all")
    parser.add_argument("--only", default="", help="part of the names")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--minutes", type=float, default=60.0, help="to begin within")
    parser.add_argument("--root", type=Path, default=ROOT)
    told = parser.parse_args(arguments)
    guards = read(told.root)
    faults = [fault for guard in guards for fault in guard.faults(told.root)]
    if faults:
        return left_with(faults, 0)
    guards = chosen(guards, told)
    begun = time.monotonic()
    os.environ["OMP_NUM_THREADS"] = "1"
    if os.name == "posix":
        BARE.set_forkserver_preload(READ_FIRST)
    with tempfile.TemporaryDirectory(prefix="guards-") as folder:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(told.jobs):
            trees.put(copied(told.root, Path(folder) / str(number)))
        whole = trees.get()
        code, said = tested(whole, sorted({t for g in guards for t in g.tests}))
        trees.put(whole)
        if code:
            return left_with([f"the tests fail with every guard in place:\n{said}"], 0)

        late: list[str] = []

        def one(guard: Guard) -> str | None:
            if time.monotonic() > begun + 60 * told.minutes:
                print("no time", guard.name, flush=True)
                late.append(guard.name)
                return None
            tree = trees.get()
            try:
                fault = tried(guard, tree)
            finally:
                trees.put(tree)
            print("LOST   " if fault else "noticed", guard.name, flush=True)
            return fault

        with ThreadPoolExecutor(told.jobs) as pool:
            faults = [fault for fault in pool.map(one, guards) if fault]
    print(f"{time.monotonic() - begun:.0f} s")
    return left_with(faults, len(guards) - len(late), late=len(late))


def left_with(faults: Sequence[str], count: int, *, late: int = 0) -> int:
    """Tell the faults and how many guards were tried; return the exit code."""
    for fault in faults:
        print(fault, file=sys.stderr)
    left = f", no time for {late}" if late else ""
    print(f"{count} guards tried, {len(faults)} faults{left}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
