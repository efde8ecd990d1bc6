"""Which slices stand in which step of a run: a function of settings and cohort alone.

Shapes: ``k`` slices of one epoch, ``b`` of one batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from lightning_fabric import Fabric

from vit_dementia.config import RunConfig
from vit_dementia.data.batches import epoch_order
from vit_dementia.data.draws import keys_for
from vit_dementia.training.feed import Feed
from vit_dementia.training.loop import Batch
from vit_dementia.training.material import Material
from vit_dementia.training.prefetch import fetched, on_device

_AHEAD = 2  # batches on their way to a GPU


@dataclass(frozen=True)
class Course:
    """The order of a run from its first step to its last."""

    config: RunConfig
    material: Material

    @cached_property
    def units(self) -> list[str]:
        """Whose slice each row is: a participant's, or only its own where unknown."""
        return self.material.cohort.unit_ids(self.unit)

    @property
    def unit(self) -> Literal["participant", "image"]:
        """What is never divided."""
        return "participant" if self.material.cohort.participants_known else "image"

    @property
    def num_batches(self) -> int:
        """Batches of one epoch: the same for all."""
        return -(-len(self.order(0)) // self.config.train.num_at_once)

    @property
    def num_steps(self) -> int:
        """Batches of the whole run."""
        return self.num_batches * self.config.train.epochs

    def order(self, epoch: int) -> Int[np.ndarray, " k"]:
        """Return the rows of the cohort that one epoch shows, in order."""
        rows = self.material.rows("train")
        settings = self.config
        return rows[
            epoch_order(
                [self.units[row] for row in rows],
                self.material.labels[rows],
                seed=settings.seed,
                epoch=epoch,
                slices_per_participant=settings.data.slices_per_participant,
                sampling="balanced"
                if settings.train.balance == "sampling"
                else "as-is",
            )
        ]

    def rows_of(self, step: int) -> Int[np.ndarray, " b"]:
        """Return the rows of one batch of the run."""
        epoch, index = divmod(step, self.num_batches)
        return self._part(self.order(epoch), index)

    def batches(
        self, epoch: int, start: int, feed: Feed, fabric: Fabric
    ) -> Iterator[Batch]:
        """Yield the batches of an epoch from step ``start`` of the run on.

        Of several processes, each gets its share of every batch.
        """
        return fetched(
            self._batches(epoch, start, feed, fabric),
            ahead=_AHEAD if fabric.device.type == "cuda" else 0,
            device=fabric.device,
        )

    def _batches(
        self, epoch: int, start: int, feed: Feed, fabric: Fabric
    ) -> Iterator[Batch]:
        order, num_batches = self.order(epoch), self.num_batches
        many, size = self.config.train.accumulate, self.config.train.num_at_once
        for index in range(max(0, start - num_batches * epoch), num_batches):
            rows = self._part(order, index)
            own = np.arange(fabric.global_rank, len(rows), fabric.world_size)
            # Gradients are averaged over the processes, whatever their shares.
            share = fabric.world_size * len(own) / len(rows)
            if not len(own):
                own = np.array([0])  # computed for nothing: all have to take part
            images = feed.take(rows[own], epoch)
            labels = torch.from_numpy(self.material.labels[rows[own]].astype(np.int64))
            keys = keys_for(self.config.seed, epoch, places=index * size + own)
            first = index - index % many  # of the batches that make one update
            yield Batch(
                num_batches * epoch + index,
                on_device(fabric, images),
                on_device(fabric, labels),
                on_device(fabric, keys),
                share=share / min(many, num_batches - first),
                ends_update=index + 1 in (first + many, num_batches),
            )

    def _part(self, order: Int[np.ndarray, " k"], index: int) -> Int[np.ndarray, " b"]:
        size = self.config.train.num_at_once
        return order[index * size : (index + 1) * size]
