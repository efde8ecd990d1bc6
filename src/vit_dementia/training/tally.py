"""Sums over the steps of an epoch, read back from the device now and then.

Reading a number back makes a GPU wait, so the steps since the last reading are summed
together. On the CPU there is nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vit_dementia.training.loop import Step

READ_EVERY = 20  # steps on a GPU
EXPLODED = 1e3  # nats a slice; guessing among k classes costs log k


@dataclass(frozen=True)
class Tally:
    """Sums over the slices of an epoch so far."""

    loss: float = 0.0
    num_correct: float = 0.0
    num_slices: int = 0
    seconds: float = 0.0

    def plus(self, steps: Sequence[Step], seconds: float) -> Tally:
        """Return the sums with more steps.

        Raises:
            Diverged: if the loss of one is no number or beyond all measure.
        """
        sums = torch.stack(
            [torch.stack([s.losses.sum(), s.is_correct.sum()]) for s in steps]
        ).tolist()
        for step, (loss, _) in zip(steps, sums, strict=True):
            if not loss / len(step.losses) < EXPLODED:  # so is what is not a number
                raise Diverged(step, loss / len(step.losses))
        return Tally(
            self.loss + sum(loss for loss, _ in sums),
            self.num_correct + sum(correct for _, correct in sums),
            self.num_slices + sum(len(step.losses) for step in steps),
            self.seconds + seconds,
        )


class Diverged(Exception):  # noqa: N818  # a signal, made an error one level up
    """A step whose loss is no number, or beyond all measure."""

    def __init__(self, step: Step, loss: float) -> None:
        super().__init__(f"loss {loss} at step {step.batch.step}")
        self.step = step
        self.loss = loss
