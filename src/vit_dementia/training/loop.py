"""The training loop, for every objective: a generator that yields after each step.

Stop it by not asking for more. Progress bars, checkpoints and scores are the caller's
job. Every random draw of a step comes from (seed, step) alone, so a step is the same
whether or not the run was interrupted before it. Shapes: ``b`` slices of one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn

from vit_dementia.config import TrainConfig
from vit_dementia.training.optimizer import learning_rate_at, set_learning_rate


@dataclass(frozen=True)
class Batch:
    """Prepared slices, or what a frozen backbone made of them, and their labels.

    Attributes:
        step: batches since the run began.
        share: of the gradient of one update, where several batches make one.
        ends_update: whether the optimizer steps after this batch.
    """

    step: int
    images: UInt8[Tensor, "b c *space"] | Float[Tensor, "b t d"]
    labels: Int[Tensor, " b"]
    share: float = 1.0
    ends_update: bool = True


@dataclass(frozen=True)
class Step:
    """What one batch gave, before its update: loss and correctness of each slice.

    Attributes:
        is_correct: 1 or 0; None where the objective knows no right answer.
    """

    batch: Batch
    losses: Float[Tensor, " b"]
    is_correct: Float[Tensor, " b"] | None
    learning_rate: float


@runtime_checkable
class Objective(Protocol):
    """Give each slice's loss, and whether it was answered correctly."""

    def __call__(
        self, model: nn.Module, batch: Batch
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"] | None]:
        """Return the loss of each slice, and its correctness: 0, 1, or None for all.

        What it draws at random comes from the batch and the run's seed alone.
        """


def fit(
    model: nn.Module,
    batches: Iterable[Batch],
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    *,
    fabric: Fabric,
    num_steps: int,
    seed: int,
) -> Iterator[Step]:
    """Train on each batch in turn, yielding after every one.

    Args:
        num_steps: batches of the whole run, for the schedule.
    """
    model.train()
    for batch in batches:
        torch.manual_seed(seed * 1_000_003 + batch.step)  # dropout of this step
        learning_rate = learning_rate_at(batch.step, num_steps, config)
        set_learning_rate(optimizer, learning_rate)

        losses, is_correct = objective(model, batch)
        fabric.backward(losses.mean() * batch.share)
        if batch.ends_update:
            if config.grad_clip:
                fabric.clip_gradients(
                    model,
                    optimizer,
                    max_norm=config.grad_clip,
                    error_if_nonfinite=False,  # the caller reads the loss and says more
                )
            optimizer.step()
            optimizer.zero_grad()
        yield Step(batch, losses.detach(), is_correct, learning_rate)


def classify(
    prepare: Callable[[Batch], Tensor],
    *,
    class_weights: Float[Tensor, " k"],
    label_smoothing: float,
) -> Objective:
    """Return the cross-entropy objective, classes weighted, labels smoothed.

    Args:
        prepare: makes the network's input of a batch, augmentation included.
    """

    def objective(
        model: nn.Module, batch: Batch
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        logits = model(prepare(batch)).float()  # the loss in full precision
        weight = class_weights.to(logits.device)
        losses = nn.functional.cross_entropy(
            logits,
            batch.labels,
            weight=weight,
            label_smoothing=label_smoothing,
            reduction="none",
        )
        return losses, (logits.argmax(dim=1) == batch.labels).float().detach()

    return objective
