"""Work spread over processes of their own; one that dies takes nothing along."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from vit_dementia.errors import ConfigError
from vit_dementia.limits import Number, carried, carry

Task = TypeVar("Task")
Answer = TypeVar("Answer")

ONE_THREAD: Mapping[str, str] = {
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""Set in a process before it imports anything: parallel is over scans, not within."""

ANSWERS_WITHIN = "10s"
"""A scheduler that says nothing for longer is not there."""


@dataclass(frozen=True)
class Died:
    """What stands for the answer of a process that ended without one."""

    cause: str


def each_apart(
    work: Callable[[Task], Answer],
    tasks: Sequence[Task],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Iterator[tuple[int, Answer | Died]]:
    """Yield the place of every task with its answer, as they are done.

    A process that is killed, by a crash in a library or for want of memory, may take
    others' unfinished work along; these are then done again, one at a time, until it is
    known whose fault it was. A cluster tells what was on the workers that it lost, and
    goes on with all the rest; only that is then done again by itself.

    Args:
        work: a function that other processes can import.
        tasks: what it is called with.
        workers: processes on this machine [default: one for each core].
        scheduler: address of a Dask scheduler whose workers are used instead.

    Raises:
        ConfigError: if the scheduler cannot be reached.
    """
    undone = set(range(len(tasks)))
    with _executor(workers, scheduler) as executor:
        for place, answer in _done(executor, work, tasks, sorted(undone)):
            undone.discard(place)
            yield place, answer
    for place in sorted(undone):
        with _executor(1, scheduler) as executor:
            answers = list(_done(executor, work, tasks, [place]))
        died = Died("its process ended without a word; is there enough memory?")
        yield answers[0] if answers else (place, died)


def _done(
    executor: Executor,
    work: Callable[[Task], Answer],
    tasks: Sequence[Task],
    places: Sequence[int],
) -> Iterator[tuple[int, Answer]]:
    """Yield answers until all are there or the processes have broken down.

    What a cluster gave up, because its workers were lost over it, is left out.
    """
    place_of: dict[Any, int] = {}
    try:
        for place in places:
            place_of[executor.submit(work, tasks[place])] = place
        lost = _lost_on_a_cluster()
        for future in as_completed(place_of):
            if not isinstance(future.exception(), lost):
                yield place_of[future], future.result()
    except BrokenExecutor:
        return
    finally:
        for future in place_of:
            future.cancel()


@contextmanager
def _executor(workers: int | None, scheduler: str | None) -> Iterator[Executor]:
    if scheduler is not None:
        with _cluster(scheduler) as executor:
            yield executor
        return
    # joblib's own engine; it alone can set the environment before anything is imported.
    from joblib.externals.loky import ProcessPoolExecutor, cpu_count

    count = workers or cpu_count()
    executor = ProcessPoolExecutor(max_workers=count, env=dict(ONE_THREAD))
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, kill_workers=True)


@contextmanager
def _cluster(scheduler: str) -> Iterator[Executor]:
    try:
        import distributed
    except ImportError as error:
        raise ConfigError(
            "scheduler: Dask is not installed: pip install 'vit-dementia[cluster]'"
        ) from error
    try:
        untyped: Any = distributed
        client = untyped.Client(scheduler, timeout=ANSWERS_WITHIN, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"scheduler: {scheduler} cannot be reached ({error}); needs the address "
            "that dask scheduler prints, such as tcp://host:8786"
        ) from error
    with client:
        client.run(_settle, carried())
        yield client.get_executor(pure=False)


def _settle(limits: Mapping[str, Number]) -> None:
    """Set threads and limits in a worker of a cluster, before it begins to work."""
    import os

    os.environ.update(ONE_THREAD)
    carry(limits)


def _lost_on_a_cluster() -> tuple[type[Exception], ...]:
    """Return what Dask raises when a worker is lost; nothing if Dask is not at work."""
    import sys

    if "distributed" not in sys.modules:
        return ()
    from distributed.scheduler import KilledWorker

    return (KilledWorker,)
