"""Stop the slow tests when their time is over, and say which did not fit.

A plugin of pytest, loaded by ``.ci/run``. A test that would start after the deadline
is skipped; one that runs across it is interrupted and counts as skipped too, whatever
becomes of it and of what it and its fixtures had started.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psutil
import pytest

DEADLINE = float(os.environ["SLOW_TESTS_DEADLINE"])
REASON = "no time left in this run of continuous integration"

_AGAIN = 10.0  # seconds; where one interruption did not end the test
_INTERRUPTED = pytest.StashKey[bool]()


@contextmanager
def _alarm(item: pytest.Item) -> Iterator[None]:
    left = DEADLINE - time.time()
    if left <= 0:
        pytest.skip(REASON)

    def stop(_number: int, _frame: FrameType | None) -> None:
        # Who waits for a process, or for a pool of them, waits on; but fixtures
        # close in peace where the first interruption was enough.
        if item.stash.get(_INTERRUPTED, False):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        item.stash[_INTERRUPTED] = True
        # A process that nobody waited for is told of when its object is collected:
        # during another test, or at the very end.
        sys.unraisablehook = lambda _: None
        pytest.skip(REASON)

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, left, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Bound the fixtures of a test."""
    with _alarm(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Bound the test itself."""
    with _alarm(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Take no failure for real that the interruption may have made."""
    report = yield
    if report.failed and item.stash.get(_INTERRUPTED, False):
        path, line, _ = item.location
        report.outcome, report.longrepr = "skipped", (path, line or 0, REASON)
    return report
