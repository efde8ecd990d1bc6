"""The running mean of the weights, which often scores better than the last ones.

After every update the mean moves a little towards the weights: Polyak's average, as the
paper takes it for its best fine-tuned models (Dosovitskiy et al. 2021, Sec. 4.1). The
first ones count more, or the mean would remember the first weights for long: the decay
rises as (1 + n) / (10 + n) with the number of updates n, as in TensorFlow's
``ExponentialMovingAverage`` and in timm.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def decay_after(num_updates: int, decay: float) -> float:
    """Return how much of the mean stays at the next update.

    >>> [round(decay_after(num, 0.999), 3) for num in (0, 9, 90, 10**6)]
    [0.1, 0.526, 0.91, 0.999]
    """
    return min(decay, (1 + num_updates) / (10 + num_updates))


class WeightMean(nn.Module):
    """A network and the running mean of its weights, saved and loaded as one.

    Args:
        network: the one that learns.
        decay: how much of the mean stays at an update, once it is warm.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.network = network
        self.mean = copy.deepcopy(network).requires_grad_(requires_grad=False)
        self.num_updates: Tensor  # stays on the CPU, where it can be read at any time
        self.register_buffer("num_updates", torch.tensor(0))

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Move the mean after every update that an optimizer makes."""
        optimizer.register_step_post_hook(lambda *_: self.update())

    @torch.no_grad()
    def update(self) -> None:
        """Move the mean towards the weights as they are now."""
        device = next(self.network.parameters()).device
        if next(self.mean.parameters()).device != device:  # the network was moved
            self.mean.to(device)
        torch._foreach_lerp_(
            list(self.mean.parameters()),
            list(self.network.parameters()),
            1 - decay_after(int(self.num_updates), self.decay),
        )
        self.num_updates += 1

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the mean where the weights are, to score or save it, for a while.

        Whatever shares the parameters with the network sees it too.
        """
        weights = [parameter.clone() for parameter in self.network.parameters()]
        self._put(list(self.mean.parameters()))
        try:
            yield
        finally:
            self._put(weights)

    @torch.no_grad()
    def _put(self, values: Sequence[Tensor]) -> None:
        for parameter, value in zip(self.network.parameters(), values, strict=True):
            parameter.copy_(value)
