"""The training loop, for every objective: a generator that yields after each step.

Stop it by not asking for more. Progress bars, checkpoints and scores are the caller's
job. What is drawn for a slice comes from (seed, epoch, its place in the epoch) alone,
and dropout from (seed, step, rank), so a step is the same whether or not the run was
interrupted before it. Shapes: ``b`` slices of one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, UInt8
from lightning_fabric import Fabric
from torch import Tensor, nn

from vit_dementia.config import TrainConfig
from vit_dementia.training.losses import Loss, cross_entropy, of_visits, targets_of
from vit_dementia.training.optimizer import learning_rate_at, set_learning_rate


@dataclass(frozen=True)
class Batch:
    """Prepared slices, or what a frozen backbone made of them, and their labels.

    Attributes:
        step: batches since the run began.
        keys: of what is drawn for each slice, by ``data.draws``.
        visits: which visit each slice is of, where they are pooled in training; None:
            each slice answers for itself.
        share: of the gradient of one update, where several batches make one; 0 for a
            process that is left without a slice of its own.
        ends_update: whether the optimizer steps after this batch.
    """

    step: int
    images: UInt8[Tensor, "b c *space"] | Float[Tensor, "b t d"]
    labels: Int[Tensor, " b"]
    keys: Int[Tensor, "b 2"]
    visits: Int[Tensor, " b"] | None = None
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


@runtime_checkable
class Mixed(Protocol):
    """Mix the slices of a batch, and their labels, with one another."""

    def __call__(
        self,
        batch: Batch,
        inputs: Float[Tensor, "b ..."],
        targets: Float[Tensor, "b k"],
    ) -> tuple[Float[Tensor, "b ..."], Float[Tensor, "b k"]]:
        """Return inputs and targets mixed; what is drawn comes from the batch."""


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
        torch.manual_seed((seed * 1_000_003 + batch.step) ^ (fabric.global_rank << 48))
        learning_rate = learning_rate_at(batch.step, num_steps, config)
        set_learning_rate(optimizer, learning_rate)

        with _together(fabric, model, batch):
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


def _together(
    fabric: Fabric, model: nn.Module, batch: Batch
) -> AbstractContextManager[object]:
    """Let the processes exchange gradients once an update, not once a batch."""
    if fabric.world_size == 1:
        return nullcontext()
    return fabric.no_backward_sync(model, enabled=not batch.ends_update)  # type: ignore[arg-type]  # set up by the caller


def classify(
    prepare: Callable[[Batch], Tensor],
    *,
    class_weights: Float[Tensor, " k"],
    label_smoothing: float,
    loss: Loss = cross_entropy,
    mixed: Mixed | None = None,
) -> Objective:
    """Return the objective of telling classes apart.

    Args:
        prepare: makes the network's input of a batch, augmentation included.
        class_weights: factor on the loss of each class.
        label_smoothing: share of each label spread over all classes.
        loss: of logits, given how much a slice belongs to each class.
        mixed: mixes inputs and labels with one another; nothing if left out.
    """

    def objective(
        model: nn.Module, batch: Batch
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        inputs = prepare(batch)
        targets = targets_of(
            batch.labels, len(class_weights), label_smoothing=label_smoothing
        )
        if mixed is not None:
            inputs, targets = mixed(batch, inputs, targets)
        logits = model(inputs).float()  # the loss in full precision
        if batch.visits is not None:
            logits = of_visits(logits, batch.visits)
        losses = loss(logits, targets, class_weights.to(logits.device))
        # Of a mixed slice, the class that most of it belongs to is the right answer.
        is_correct = logits.argmax(dim=1) == targets.argmax(dim=1)
        return losses, is_correct.float().detach()

    return objective
