"""Which slices stand in which step of a run: a function of settings and cohort alone.

Where slices are pooled in training, those of a visit stay together.

Shapes: ``k`` slices of one epoch, ``b`` of one batch; ``v`` of an epoch
that are drawn as one.
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

    @cached_property
    def drawn_as_one(self) -> list[Int[np.ndarray, " _"]]:
        """The training rows that stay together: one alone, or all of a visit.

        Slices of a visit under two labels are two of them: each has one right answer.
        """
        rows = self.material.rows("train")
        if self.config.train.slice_pooling == "mean":
            return [*rows[:, None]]
        several = len(self.material.cohort.classes)
        keys = (self.material.visits * several + self.material.labels)[rows]
        _, counts = np.unique(keys, return_counts=True)
        return np.split(rows[keys.argsort(kind="stable")], counts.cumsum()[:-1])

    @cached_property
    def most_as_one(self) -> int:
        """The largest number of rows that stay together."""
        return max(map(len, self.drawn_as_one))

    @property
    def num_at_once(self) -> int:
        """How many of them make a batch: as many as surely fit, one at least."""
        return max(1, self.config.train.num_at_once // self.most_as_one)

    @cached_property
    def num_batches(self) -> int:
        """Batches of one epoch: the same for all."""
        return -(-len(self._drawn(0)) // self.num_at_once)

    @property
    def num_steps(self) -> int:
        """Batches of the whole run."""
        return self.num_batches * self.config.train.epochs

    def order(self, epoch: int) -> Int[np.ndarray, " k"]:
        """Return the rows of the cohort that one epoch shows, in order."""
        return np.concatenate(
            [self.drawn_as_one[place] for place in self._drawn(epoch)]
        )

    def rows_of(self, step: int) -> Int[np.ndarray, " b"]:
        """Return the rows of one batch of the run."""
        epoch, index = divmod(step, self.num_batches)
        return np.concatenate(self._part(self._drawn(epoch), index))

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
        drawn, num_batches = self._drawn(epoch), self.num_batches
        many, pooled = self.config.train.accumulate, self.config.train.slice_pooling
        for index in range(max(0, start - num_batches * epoch), num_batches):
            part = self._part(drawn, index)
            own = range(fabric.global_rank, len(part), fabric.world_size)
            num_own, num_all = sum(len(part[n]) for n in own), sum(map(len, part))
            # Gradients are averaged over the processes, whatever their shares.
            share = fabric.world_size * num_own / num_all
            own = own or range(1)  # computed for nothing: all have to take part
            rows = np.concatenate([part[n] for n in own])
            turn = np.repeat(own, [len(part[n]) for n in own])
            within = np.concatenate([np.arange(len(part[n])) for n in own])
            places = (index * self.num_at_once + turn) * self.most_as_one + within
            images = feed.take(rows, epoch)
            labels = torch.from_numpy(self.material.labels[rows].astype(np.int64))
            keys = keys_for(self.config.seed, epoch, places=places)
            visits = None
            if pooled == "attention":
                visits = on_device(fabric, torch.from_numpy(turn))
            first = index - index % many  # of the batches that make one update
            yield Batch(
                num_batches * epoch + index,
                on_device(fabric, images),
                on_device(fabric, labels),
                on_device(fabric, keys),
                visits,
                share=share / min(many, num_batches - first),
                ends_update=index + 1 in (first + many, num_batches),
            )

    def _drawn(self, epoch: int) -> Int[np.ndarray, " v"]:
        """Return what one epoch shows, as places in ``drawn_as_one``."""
        firsts = np.array([rows[0] for rows in self.drawn_as_one])
        settings = self.config
        return epoch_order(
            [self.units[row] for row in firsts],
            self.material.labels[firsts],
            seed=settings.seed,
            epoch=epoch,
            slices_per_participant=settings.data.slices_per_participant,
            sampling="balanced" if settings.train.balance == "sampling" else "as-is",
        )

    def _part(
        self, drawn: Int[np.ndarray, " v"], index: int
    ) -> list[Int[np.ndarray, " _"]]:
        """Return what one batch shows."""
        some = drawn[index * self.num_at_once : (index + 1) * self.num_at_once]
        return [self.drawn_as_one[place] for place in some]
