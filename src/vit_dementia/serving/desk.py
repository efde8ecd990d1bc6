"""Jobs that wait, and the one worker that does them: few places, no order jumped.

A request takes a place before its body is read and keeps it until it is answered or its
sender is gone. Whoever finds none is sent away at once. Predictions that wait when the
worker becomes free are done together: nobody waits for a batch to fill.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from vit_dementia.errors import VitDementiaError
from vit_dementia.serving.work import Job, Reply

log = logging.getLogger(__name__)

Answering = Callable[[Sequence[Job]], list[Reply]]
_TOGETHER = 64  # requests of one batch


class BusyError(Exception):
    """Every place is taken, or the worker has to be started again."""


class Desk:
    """Places for requests and a queue before one worker.

    Args:
        answer: does jobs; called in a thread, one call at a time.
        places: requests at once.
        on_batch: is told how many jobs are done together.
    """

    def __init__(
        self,
        answer: Answering,
        places: int,
        on_batch: Callable[[int], object] = lambda _count: None,
    ) -> None:
        self._answer, self._places, self._on_batch = answer, places, on_batch
        self._waiting: deque[tuple[Job, asyncio.Future[Reply]]] = deque()
        self._work_is_there = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.taken = 0

    def open(self) -> None:
        """Begin to work; called within the event loop."""
        self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stop; jobs that wait are given up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while self._waiting:
            self._waiting.popleft()[1].cancel()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place.

        Raises:
            BusyError: at once, if all are taken.
        """
        if self.taken >= self._places:
            raise BusyError
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def ask(self, job: Job) -> Reply:
        """Wait for the reply; a job not begun is dropped when the wait is cancelled."""
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, reply))
        self._work_is_there.set()
        return await reply

    async def _work(self) -> None:
        while True:
            await self._work_is_there.wait()
            batch = self._next()
            if not batch:
                self._work_is_there.clear()
                continue
            self._on_batch(len(batch))
            jobs = [job for job, _ in batch]
            try:
                replies = await asyncio.to_thread(self._answer, jobs)
            except (VitDementiaError, OSError) as error:
                # The worker could not be started again; the next job tries once more.
                log.error("no worker: %s", error)
                for _, reply in batch:
                    if not reply.done():
                        reply.set_exception(BusyError())
                continue
            for (_, reply), one in zip(batch, replies, strict=True):
                if not reply.done():
                    reply.set_result(one)

    def _next(self) -> list[tuple[Job, asyncio.Future[Reply]]]:
        """Take the next job, or all predictions that wait if it is one."""
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()  # its sender is gone
        if not self._waiting:
            return []
        if self._waiting[0][0].question != "predict":
            return [self._waiting.popleft()]
        chosen = [
            one
            for one in self._waiting
            if one[0].question == "predict" and not one[1].done()
        ][:_TOGETHER]
        kept = {id(one) for one in chosen}
        self._waiting = deque(one for one in self._waiting if id(one) not in kept)
        return chosen
