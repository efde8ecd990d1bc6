"""Damaged files at every door: finite numbers or a line of ours, and soon."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from tests.fuzz.mutation import AT_ONCE, SECONDS, damaged, exchanged
from tests.fuzz.readers import DOORS, Door, fault_of

CORPUS = Path(__file__).parent / "corpus"
SOON = 20  # seconds for one file, on a busy machine
ROOM = 1024**3  # bytes beyond what the process has


UNTIL_THEN = settings(
    max_examples=AT_ONCE,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def _little_room() -> Iterator[None]:
    """Let the process take little more memory than it has, where that can be said."""
    if sys.platform != "linux":
        yield
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * os.sysconf("SC_PAGE_SIZE") + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def soon() -> Iterator[None]:
    """Break off what does not end."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def late(*_: object) -> None:
        raise AssertionError(f"it took more than {SOON} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SOON)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def cases(door: Door) -> st.SearchStrategy[tuple[str, bytes]]:
    """Return a strategy of damaged files, each under its name."""
    whole = door.whole()
    files = []
    for name, content in whole.items():
        others = st.sampled_from(sorted(whole.values()))
        made = others.flatmap(lambda other, content=content: damaged(content, other))
        if name.endswith(".json"):
            made = made | exchanged(content) | exchanged(content)
        files.append(made.map(lambda bad, name=name: (name, bad)))
    return st.one_of(files)


@pytest.mark.fuzz
@pytest.mark.usefixtures("_little_room")
@pytest.mark.parametrize("which", DOORS)
def test_a_damaged_file_gives_a_finite_result_or_our_own_words(which, tmp_path) -> None:
    door = DOORS[which]
    for name, content in door.whole().items():
        assert fault_of(door, name, content) is None  # whole files are read
    tried = refused = 0

    def one(case: tuple[str, bytes]) -> None:
        nonlocal tried, refused
        name, content = case
        tried += 1
        try:
            with soon():
                refused += fault_of(door, name, content) is not None
        except Exception:  # kept, whatever it is, and raised again
            found = Path(os.environ.get("FUZZ_FOUND", tmp_path)) / which
            with suppress(OSError):  # the smallest one is written last
                found.mkdir(parents=True, exist_ok=True)
                (found / name).write_bytes(content)
            raise

    ends, again = time.monotonic() + SECONDS, cases(door)
    for number in count():  # the same files each time, as far as the time goes
        if time.monotonic() > ends:
            break
        seed(number)(UNTIL_THEN(given(case=again)(one)))()
    assert tried > 10
    assert refused > 0


FOUND = sorted(
    path.relative_to(CORPUS).as_posix() for path in CORPUS.rglob("*") if path.is_file()
)


@pytest.mark.parametrize("case", FOUND)
def test_what_was_found_once_is_not_found_again(case) -> None:
    which, _, file = case.partition("/")
    _, _, name = file.partition("~")
    with soon():
        fault_of(DOORS[which], name, (CORPUS / case).read_bytes())
