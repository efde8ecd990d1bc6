"""The process that reads scans, here in a thread: what ends it and what follows."""

from __future__ import annotations

import os
import threading
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import httpx
import pytest
from tests.unit.serving import served

from vit_dementia.errors import CheckpointError
from vit_dementia.limits import ServingLimits
from vit_dementia.serving import worker
from vit_dementia.serving.alike import NOTHING
from vit_dementia.serving.work import Job
from vit_dementia.serving.worker import Worker, answered, bound

RESOURCE = pytest.importorskip("resource")


class Ending(Connection):
    """A process's end of a pipe, which it leaves when it is told to."""

    left = False

    def recv_bytes(self, maxlength=None) -> bytes:
        while not self.poll(0.01):
            if self.left:
                raise EOFError
        return super().recv_bytes(maxlength)


class Thread:
    """A process as `Worker` knows it."""

    def __init__(self, target, args, daemon) -> None:
        pipe, *rest = args
        self._pipe = Ending(os.dup(pipe.fileno()))  # as a process has its own
        self._target, self._rest = target, rest
        self._thread = threading.Thread(target=self._run, daemon=daemon)
        self._thread.let_go = threading.Event()
        self.start, self._killed = self._thread.start, False

    def is_alive(self) -> bool:
        return self._thread.is_alive() and not self._killed

    def _run(self) -> None:
        try:
            self._target(self._pipe, *self._rest)
        except SystemExit:
            pass
        finally:
            self._pipe.close()

    def kill(self) -> None:
        self._killed = True
        self._thread.let_go.set()

    def end(self) -> None:
        """End as a process does that somebody kills while it has nothing to do."""
        self._pipe.left = True
        self._thread.join()

    def join(self) -> None:
        """Let it see by itself that nobody listens."""


class Fake:
    """Work that does what the name of the folder says."""

    facts: ClassVar = {"classes": ["A"]}
    computes_on = "cpu"

    def __init__(self, run, device, limits, offered) -> None:
        assert offered == NOTHING
        if run.name == "bad":
            raise CheckpointError("bad: is no model")
        if run.name == "heavy":
            raise SystemExit

    def __call__(self, jobs):
        for job in jobs:
            if job.folder.name == "hang":
                threading.current_thread().let_go.wait(10)
            if job.folder.name == "die":
                raise SystemExit
            if job.folder.name == "bug":
                raise ValueError("Jane Doe")
            if job.folder.name == "large":
                raise MemoryError
        return served.nothing(jobs)


@pytest.fixture
def make(monkeypatch):
    context = SimpleNamespace(Pipe=Pipe, Process=Thread)
    monkeypatch.setattr(worker, "get_context", lambda _way: context)
    monkeypatch.setattr(worker, "Work", Fake)
    monkeypatch.setattr(worker, "bound", lambda _device, _limits: None)
    monkeypatch.setattr(worker.signal, "signal", lambda _signal, _what: None)
    started = []

    def start(name: str = "good") -> Worker:
        made = Worker(Path(name), "cpu", ServingLimits(seconds=0.5))
        started.append(made)
        made.start()
        return made

    yield start
    for one in started:
        one.stop()


def jobs(*names: str) -> list[Job]:
    return [Job(question="predict", folder=Path(name)) for name in names]


def test_jobs_are_answered_and_the_facts_told(make) -> None:
    working = make()
    assert working.facts == Fake.facts
    working.start()  # it runs already
    assert [reply.status for reply in working(jobs("a", "b"))] == [200, 200]


@pytest.mark.parametrize(("name", "status"), [("hang", 504), ("die", 422)])
def test_a_job_that_ends_the_process_costs_its_own_answer_alone(
    make, name, status
) -> None:
    working = make()
    assert [one.status for one in working(jobs(name))] == [status]
    assert [one.status for one in working(jobs("a"))] == [200]
    assert [one.status for one in working(jobs("a", name, "b"))] == [200, status, 200]


def test_after_the_end_nothing_is_started_again(make) -> None:
    working = make()
    working.stop()
    with pytest.raises(CheckpointError, match="does not stay"):  # of which comes a 503
        working(jobs("a"))


def test_a_process_that_ended_while_it_was_idle_is_replaced_and_its_job_answered(
    make, caplog
) -> None:
    working = make()
    for asked in (["a"], ["a", "b"]):
        working._process.end()
        assert not working._process.is_alive()
        assert [one.status for one in working(jobs(*asked))] == [200] * len(asked)
    assert caplog.text.count("started again") == 2


def test_where_no_process_stays_whoever_asks_is_told_to_come_back(
    make, monkeypatch
) -> None:
    working = make()
    working._process.end()
    as_it_was = Worker.start

    def started(self) -> None:
        as_it_was(self)
        self._process.end()

    monkeypatch.setattr(Worker, "start", started)
    asking = served.Here(working)
    asking.facts = working.facts
    with served.listening(asking) as url:
        form = {"files": [("files", b"a scan")], "timeout": 60}
        told = httpx.post(f"{url}/v1/predict", **form)
        assert told.status_code == 503
        assert int(told.headers["Retry-After"]) > 0
        monkeypatch.setattr(Worker, "start", as_it_was)
        assert httpx.post(f"{url}/v1/predict", **form).status_code == 200


@pytest.mark.parametrize(("name", "words"), [("bad", "no model"), ("heavy", "ended")])
def test_a_model_that_does_not_load_is_told(make, name, words) -> None:
    with pytest.raises(CheckpointError, match=words):
        make(name)


def test_a_bug_is_told_by_kind_and_place_and_not_by_its_words(caplog) -> None:
    work = Fake(Path("x"), "cpu", ServingLimits(), NOTHING)
    told = answered(work, jobs("a", "bug", "large"))
    assert [one.status for one in told] == [200, 500, 422]
    assert "ValueError in __call__" in caplog.text
    assert "Jane" not in caplog.text


def test_memory_is_bounded_on_the_cpu_alone(monkeypatch) -> None:
    told = []
    monkeypatch.setattr(RESOURCE, "setrlimit", lambda *what: told.append(what))
    bound("cpu", ServingLimits(memory_mib=2))
    bound("cuda", ServingLimits(memory_mib=2))
    bound("cpu", ServingLimits(memory_mib=0))
    core = (RESOURCE.RLIMIT_CORE, (0, 0))
    assert told == [core, (RESOURCE.RLIMIT_AS, (2**21, 2**21)), core, core]
