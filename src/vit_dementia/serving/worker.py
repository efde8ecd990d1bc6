"""The process that reads strangers' files, apart from the one that speaks HTTP.

A file that hangs its decoder, eats the memory or crashes a library costs one answer and
a new process, not the server. Both sides speak JSON: nothing that comes from there is
unpickled here.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from vit_dementia.errors import CheckpointError, VitDementiaError
from vit_dementia.inference.compute import Device
from vit_dementia.limits import MIB, ServingLimits
from vit_dementia.serving.alike import NOTHING, Offered
from vit_dementia.serving.desk import Answering
from vit_dementia.serving.work import Job, Reply, Work, refusal

log = logging.getLogger(__name__)

_TOO_LONG = "took longer than {:g} seconds and was stopped; needs a smaller scan"
_DIED = (
    "the process that read it ended; the scan is damaged or needs more memory than it "
    "may take"
)
_BEGUN = b"begun"
_BUG = "a fault of this program, told in its log; no answer"


class Worker:
    """A process with a model; started again whenever it has to be ended.

    Args:
        run: run folder, its model folder, or a cross-validation.
        device: where to compute.
        limits: seconds and memory of an answer.
        offered: what may be asked besides.
    """

    def __init__(
        self,
        run: Path,
        device: Device,
        limits: ServingLimits,
        offered: Offered = NOTHING,
    ) -> None:
        self._about = (run, device, limits, offered)
        self._limits = limits
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._stopped = False
        self._guard = threading.Lock()  # of the two processes' beginning and end
        self.facts: dict[str, Any] = {}

    def start(self) -> None:
        """Start the process, if none runs, and wait until its model is loaded.

        Raises:
            CheckpointError: if the model cannot be loaded; every fault is listed.
        """
        with self._guard:
            if self._stopped or (self._process and self._process.is_alive()):
                return
            context = get_context("spawn")  # a fork would share sockets and locks
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(
                target=serve_pipe, args=(theirs, *self._about), daemon=True
            )
            self._process.start()
            theirs.close()
        try:
            told = json.loads(self._pipe.recv_bytes())
        except (EOFError, OSError) as error:
            raise CheckpointError(
                "serve: the process with the model ended while it started; needs more "
                "memory, or a model that loads"
            ) from error
        if "faults" in told:
            raise CheckpointError.of(told["faults"])
        self.facts = told

    def __call__(self, jobs: Sequence[Job]) -> list[Reply]:
        """Answer jobs; where one of them ends the process, each is asked alone.

        A process that has ended before it began is no fault of theirs: another one is
        asked.

        Raises:
            CheckpointError: if that does not begin either; ask again later.
        """
        told = self._ask(jobs)
        if told is None:
            self._start_again()
            told = self._ask(jobs)
        if told is None:
            raise CheckpointError("serve: the process with the model does not stay")
        if isinstance(told, list):
            return told
        self._start_again()
        return [self([one])[0] for one in jobs] if len(jobs) > 1 else [told]

    def _ask(self, jobs: Sequence[Job]) -> list[Reply] | Reply | None:
        """Return the replies, why there are none, or None if nothing was begun."""
        assert self._pipe is not None
        too_long = refusal(504, _TOO_LONG.format(self._limits.seconds))
        begun = False
        try:
            self._pipe.send_bytes(json.dumps([one.to_dict() for one in jobs]).encode())
            if not self._pipe.poll(self._limits.seconds):
                return too_long
            begun = bool(self._pipe.recv_bytes())
            if not self._pipe.poll(self._limits.seconds):
                return too_long
            return [Reply(**one) for one in json.loads(self._pipe.recv_bytes())]
        except (EOFError, OSError):
            return refusal(422, _DIED) if begun else None

    def _start_again(self) -> None:
        log.warning("the process with the model is started again")
        self._end()
        self.start()

    def stop(self) -> None:
        """End the process, whatever it does; it is not started again."""
        self._stopped = True
        self._end()

    def _end(self) -> None:
        with self._guard:
            if self._process is not None:
                self._process.kill()
                self._process.join()
            if self._pipe is not None:
                self._pipe.close()


def serve_pipe(
    pipe: Connection,
    run: Path,
    device: Device,
    limits: ServingLimits,
    offered: Offered,
) -> None:
    """Load a model and answer what comes through a pipe until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server
    try:
        work = Work(run, device, limits, offered)
    except VitDementiaError as error:
        _send(pipe, {"faults": list(error.faults)})
        return
    bound(work.computes_on, limits)
    _send(pipe, work.facts)
    try:
        while True:
            jobs = [Job.from_dict(one) for one in json.loads(pipe.recv_bytes())]
            pipe.send_bytes(_BEGUN)  # from here on it is their fault if this ends
            _send(pipe, [_told(reply) for reply in answered(work, jobs)])
    except (EOFError, OSError):  # the server is gone
        return


def answered(work: Answering, jobs: Sequence[Job]) -> list[Reply]:
    """Answer jobs; a bug is told in the log, by its kind and place, and answers 500."""
    try:
        return work(jobs)
    except MemoryError:
        replies = [refusal(422, _DIED)]
    except Exception as error:  # noqa: BLE001  # a bug answers 500, the rest goes on
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = trace.tb_frame.f_code.co_name if trace is not None else ""
        # Not its words: they may hold a name.
        log.error("bug: %s in %s", type(error).__name__, where)
        replies = [refusal(500, _BUG)]
    if len(jobs) == 1:
        return replies
    return [reply for job in jobs for reply in answered(work, [job])]


def bound(device: str, limits: ServingLimits) -> None:
    """Bound what this process may take; a GPU's driver maps more than any limit."""
    if os.name == "nt":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # scans do not go into a dump
    if device == "cpu" and limits.memory_mib:
        most = limits.memory_mib * MIB
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _send(pipe: Connection, value: Any) -> None:
    pipe.send_bytes(json.dumps(value, allow_nan=False).encode())


def _told(reply: Reply) -> dict[str, Any]:
    return {"status": reply.status, "body": reply.body, "has_view": reply.has_view}
