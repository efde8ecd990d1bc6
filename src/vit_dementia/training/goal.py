"""What a run is for: the seam between the one loop and what it teaches.

``init`` says where the weights come from. The goal says the rest: what the loss is, by
what an epoch is judged, and what is kept of the best one. Training, saving, resuming
and running on many processors know nothing else of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from vit_dementia.config import TrainConfig
from vit_dementia.training.feed import Feed
from vit_dementia.training.loop import Objective
from vit_dementia.training.validation import Best, HeldOut


@runtime_checkable
class Goal(Protocol):
    """What a network learns, how well it does, and what is kept of it."""

    @property
    def feed(self) -> Feed:
        """Where batches come from, and the network that reads them."""

    @property
    def model(self) -> nn.Module:
        """All weights that a checkpoint holds: those of the feed's network and more."""

    def objective(self) -> Objective:
        """Return the loss."""

    def optimizer(self, settings: TrainConfig) -> torch.optim.Optimizer:
        """Return what updates the parameters that learn."""

    def score(self, wrapped: nn.Module, role: str) -> HeldOut | None:
        """Return how good the network is on a part of the split; None if it is empty.

        Args:
            wrapped: the feed's network, as it was set up for the device.
            role: of the slices: val or test.
        """

    def keep(self, folder: Path, best: Best) -> None:
        """Write what is kept of the best epoch so far into the folder of the run."""
