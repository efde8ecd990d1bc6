from __future__ import annotations

import os
import time
from concurrent.futures import Executor, Future
from contextlib import contextmanager

import pytest

from vit_dementia.errors import ConfigError
from vit_dementia.workflows import apart
from vit_dementia.workflows.apart import ONE_THREAD, Died, each_apart


def doubled(number: int) -> int:
    return 2 * number


def environment(name: str) -> str:
    return os.environ.get(name, "")


def killed_by_7(number: int) -> int:
    if number == 7:
        time.sleep(0.3)  # others are at work
        os._exit(1)
    return number


def refused(number: int) -> int:
    raise ConfigError(f"number: found {number}")


def test_every_task_is_answered_in_its_place() -> None:
    assert dict(each_apart(doubled, [3, 5, 8], workers=2)) == {0: 6, 1: 10, 2: 16}


def test_a_process_that_dies_costs_its_own_task_only() -> None:
    answers = dict(each_apart(killed_by_7, [1, 7, 2, 3], workers=2))
    assert isinstance(answers.pop(1), Died)
    assert answers == {0: 1, 2: 2, 3: 3}


def test_processes_use_one_thread_before_they_import_anything(monkeypatch) -> None:
    monkeypatch.setenv("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "8")
    told = dict(each_apart(environment, list(ONE_THREAD), workers=1))
    assert set(told.values()) == {"1"}


def test_what_a_task_raises_is_raised() -> None:
    with pytest.raises(ConfigError, match="number: found 4"):
        list(each_apart(refused, [4], workers=1))


def test_a_scheduler_that_is_not_there_is_one_line(monkeypatch) -> None:
    monkeypatch.setattr("vit_dementia.workflows.apart.ANSWERS_WITHIN", "1s")
    with pytest.raises(ConfigError, match="cannot be reached"):
        list(each_apart(doubled, [1], scheduler="tcp://127.0.0.1:9"))


def test_a_cluster_that_gave_one_task_up_goes_on_with_all_others(monkeypatch) -> None:
    pytest.importorskip("distributed")
    from distributed.scheduler import KilledWorker

    asked: list[list[int]] = []

    class Cluster(Executor):
        """Answers like Dask, which names the task that its workers died over."""

        def submit(self, work, number):
            asked[-1].append(number)
            future: Future = Future()
            if number == 7:
                future.set_exception(KilledWorker("task", None, 3))
            else:
                future.set_result(work(number))
            return future

    @contextmanager
    def cluster(workers, scheduler):
        asked.append([])
        yield Cluster()

    monkeypatch.setattr(apart, "_executor", cluster)
    answers = dict(each_apart(doubled, [7, 1, 2, 3], scheduler="tcp://there"))
    assert isinstance(answers.pop(0), Died)
    assert answers == {1: 2, 2: 4, 3: 6}
    assert asked == [[7, 1, 2, 3], [7]]


@pytest.mark.slow
def test_a_task_that_ends_the_workers_of_a_cluster_is_the_only_one_that_fails() -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        numbers = [1, 7, *range(2, 7), *range(8, 20)]
        where = cluster.scheduler_address
        answers = dict(each_apart(killed_by_7, numbers, scheduler=where))
    assert isinstance(answers.pop(1), Died)
    assert sorted(answers.values()) == sorted(set(numbers) - {7})


@pytest.mark.slow
def test_a_cluster_gives_the_same_answers() -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        address = cluster.scheduler_address
        answers = dict(each_apart(doubled, [3, 5], scheduler=address))
        threads = dict(each_apart(environment, list(ONE_THREAD), scheduler=address))
    assert answers == {0: 6, 1: 10}
    assert set(threads.values()) == {"1"}
