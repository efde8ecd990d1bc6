"""The memory a measurement takes, in a process of its own that does nothing else."""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path

import torch

from vit_dementia.benchmark.entries import ENTRIES, build, entries_here
from vit_dementia.benchmark.work import CHANNELS, Case, worker

_STATUS = Path("/proc/self/status")
_MIB = 2**20
_Context = ForkServerContext | SpawnContext


def peak_of(case: Case, name: str, device: torch.device) -> float | None:
    """Return the MiB that network, gradients, optimizer and activations took at most.

    What the libraries take by being imported does not count. None where this cannot be
    known, or where the memory did not suffice.
    """
    if device.type != "cuda" and peak_bytes() is None:
        return None
    # The server of forks has imported the libraries and done nothing else.
    can_fork = "forkserver" in multiprocessing.get_all_start_methods()
    context: _Context
    if can_fork:
        context = multiprocessing.get_context("forkserver")
        here = [entry.module for entry in entries_here() if not entry.is_ours]
        context.set_forkserver_preload([__name__, *here])
    else:
        context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(
        target=_measure, args=(sending, case, name, str(device)), daemon=True
    )
    process.start()
    sending.close()
    try:
        return float(receiving.recv())
    except EOFError:  # it was killed, or told its error on stderr
        return None
    finally:
        receiving.close()
        process.join()


def _measure(sending: Connection, case: Case, name: str, device_name: str) -> None:
    device = torch.device(device_name)
    entry = next(entry for entry in ENTRIES if entry.name == name)
    one = torch.randn(1, CHANNELS, case.image_size, case.image_size, device=device)
    with torch.device("meta"):
        build(entry, case.architecture)  # some libraries import at the first use
    before = peak_bytes() or 0
    model = build(entry, case.architecture).to(device)
    work = worker(model, what=case.what, precision=case.precision)
    if case.what == "training":
        work(one)  # the optimizer's state comes with its first step and stays
    work(one.repeat(case.batch, 1, 1, 1))
    if device.type == "cuda":
        sending.send(torch.cuda.max_memory_allocated(device) / _MIB)
    else:
        sending.send(((peak_bytes() or 0) - before) / _MIB)


def peak_bytes() -> int | None:
    """Return the most memory this process has held at once; None if nobody counts."""
    if _STATUS.exists():
        for line in _STATUS.read_text("ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None
