"""Batches that are read and on their way while the device still computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor

T = TypeVar("T")


def on_device(fabric: Fabric, tensor: Tensor) -> Tensor:
    """Return the tensor on the device; a GPU fetches it from pinned memory."""
    if fabric.device.type == "cuda":
        tensor = tensor.pin_memory()
    return fabric.to_device(tensor)


def fetched(batches: Iterator[T], *, ahead: int, device: torch.device) -> Iterator[T]:
    """Yield the same batches, up to ``ahead`` of them made in a thread beforehand.

    Args:
        batches: made one after the other.
        ahead: 0: each when it is asked for, without a thread.
        device: that the thread speaks to.

    >>> list(fetched(iter("abc"), ahead=2, device=torch.device("cpu")))
    ['a', 'b', 'c']
    """
    if not ahead:
        yield from batches
        return
    # A thread begins on the first GPU, whichever its process uses.
    begin = torch.cuda.set_device if device.type == "cuda" else lambda _device: None
    with ThreadPoolExecutor(1, initializer=begin, initargs=(device,)) as thread:
        end = object()
        coming = deque(thread.submit(next, batches, end) for _ in range(ahead))
        while (batch := coming.popleft().result()) is not end:
            coming.append(thread.submit(next, batches, end))
            yield batch  # type: ignore[misc]  # it is not the end
