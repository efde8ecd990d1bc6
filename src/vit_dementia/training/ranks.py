"""Several processes that do one training together; each of these is nothing for one.

Every process runs the same lines, so that all come to the same waiting points. What
must be done once, such as writing, is done by the process of rank 0.

Shapes: ``m`` rows shared among the processes, ``k`` numbers of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from lightning_fabric import Fabric
from torch import Tensor

from vit_dementia.errors import VitDementiaError

T = TypeVar("T")


def by_first(fabric: Fabric, work: Callable[[], T]) -> T:
    """Let rank 0 do the work; return its answer, or raise its error, everywhere."""
    answer: T | VitDementiaError | None = None
    if fabric.is_global_zero:
        try:
            answer = work()
        except VitDementiaError as error:
            if fabric.world_size == 1:
                raise
            answer = error
    answer = fabric.broadcast(answer)
    if isinstance(answer, VitDementiaError):
        raise answer
    return answer  # type: ignore[return-value]  # of rank 0's work


def one_here_first(fabric: Fabric, work: Callable[[], T]) -> T:
    """Let one process of each machine do the work, then the others, who find it done.

    Raises:
        VitDementiaError: of the work; in all processes, if it failed in one of those.
    """
    if fabric.world_size == 1:
        return work()
    done: T | None = None
    fault: VitDementiaError | None = None
    if fabric.local_rank == 0:
        try:
            done = work()
        except VitDementiaError as error:
            fault = error
    failed = summed(fabric, torch.tensor(float(fault is not None)))
    if bool(failed):
        raise fault or VitDementiaError("another process has told why it ends")
    return work() if fabric.local_rank else done  # type: ignore[return-value]  # of the work


def summed(fabric: Fabric, values: Tensor) -> Tensor:
    """Return the sum over all processes."""
    if fabric.world_size == 1:
        return values
    total = fabric.all_reduce(values, reduce_op="sum")
    assert isinstance(total, Tensor)
    return total


def shared_out(
    fabric: Fabric,
    rows: Int[np.ndarray, " m"],
    work: Callable[[Int[np.ndarray, " n"]], Float[np.ndarray, "n k"]],
) -> Float[np.ndarray, "m k"]:
    """Return the work on all rows, each process doing its share of them.

    Args:
        fabric: the processes.
        rows: in the order of the answer.
        work: gives a line of numbers for each row it is given.
    """
    if fabric.world_size == 1:
        return work(rows)
    size = -(-len(rows) // fabric.world_size)
    # As many for each, some done twice: nobody waits for one that has nothing to do.
    padded = np.resize(rows, size * fabric.world_size)
    own = slice(size * fabric.global_rank, size * (fabric.global_rank + 1))
    done = work(padded[own])
    whole = np.zeros((len(padded), done.shape[1]), dtype=done.dtype)
    whole[own] = done  # each adds its lines to nothing
    return summed(fabric, torch.from_numpy(whole))[: len(rows)].cpu().numpy()
