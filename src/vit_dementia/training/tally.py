"""Sums over the steps of an epoch, read back from the device now and then.

Reading a number back makes a GPU wait, so the steps since the last reading are summed
together. On the CPU there is nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from torch import Tensor

from vit_dementia.training.loop import Step
from vit_dementia.training.ranks import summed

READ_EVERY = 20  # steps on a GPU
EXPLODED = 1e3  # nats a slice; guessing among k classes costs log k


@dataclass(frozen=True)
class Tally:
    """Sums over the slices of an epoch so far."""

    loss: float = 0.0
    num_correct: float | None = 0.0
    num_slices: int = 0
    seconds: float = 0.0

    @property
    def accuracy(self) -> float | None:
        """Share of slices answered correctly; None where nothing is asked of them."""
        return None if self.num_correct is None else self.num_correct / self.num_slices

    def plus(self, steps: Sequence[Step], seconds: float, fabric: Fabric) -> Tally:
        """Return the sums with more steps, over the slices of all processes.

        Raises:
            Diverged: if the loss of one is no number or beyond all measure.
        """
        loss, num_correct, num_slices = self.loss, self.num_correct, self.num_slices
        sums = summed(fabric, torch.stack([_sums(step) for step in steps])).tolist()
        for step, (step_loss, step_correct, size) in zip(steps, sums, strict=True):
            if not step_loss / size < EXPLODED:  # so is what is not a number
                raise Diverged(step, step_loss / size)
            loss, num_slices = loss + step_loss, num_slices + round(size)
            if step.is_correct is None or num_correct is None:
                num_correct = None
            else:
                num_correct += step_correct
        return Tally(loss, num_correct, num_slices, self.seconds + seconds)


def _sums(step: Step) -> Float[Tensor, " 3"]:
    """Return the sums of losses and right answers, and how many slices they are of."""
    nothing = torch.zeros_like(step.losses)
    is_correct = nothing if step.is_correct is None else step.is_correct
    if not step.batch.share:  # a slice that another process has counted
        return torch.stack([nothing, nothing, nothing]).sum(dim=1)
    return torch.stack([step.losses, is_correct, nothing + 1]).sum(dim=1)


class Diverged(Exception):  # noqa: N818  # a signal, made an error one level up
    """A step whose loss is no number, or beyond all measure."""

    def __init__(self, step: Step, loss: float) -> None:
        super().__init__(f"loss {loss} at step {step.batch.step}")
        self.step = step
        self.loss = loss
