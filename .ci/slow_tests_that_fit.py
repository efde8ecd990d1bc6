"""Stop the slow tests when their time is over, and say which did not fit.

A plugin of pytest, loaded by ``.ci/run``. A test that would start after the deadline
is skipped; one that runs across it is interrupted, with every process that it started,
and counts as skipped too.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psutil
import pytest

DEADLINE = float(os.environ["SLOW_TESTS_DEADLINE"])
REASON = "no time left in this run of continuous integration"


_AGAIN = 10.0  # seconds; where the first interruption was lost, as in a callback of C


def _stop(_number: int, _frame: FrameType | None) -> None:
    # Who waits for a process, or for a pool of them, would wait on.
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    pytest.skip(REASON)


@contextmanager
def _alarm() -> Iterator[None]:
    left = DEADLINE - time.time()
    if left <= 0:
        pytest.skip(REASON)
    before = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, left, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    """Bound the fixtures of a test."""
    with _alarm():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Bound the test itself."""
    with _alarm():
        return (yield)
