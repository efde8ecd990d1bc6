"""The epochs of one run: train, score, keep the best, save the place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from lightning_fabric import Fabric
from torch import nn

from vit_dementia.config import RunConfig
from vit_dementia.data.batches import class_weights, epoch_order
from vit_dementia.inference.model_folder import write_model_folder
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.progress import Watch
from vit_dementia.training import checkpoint
from vit_dementia.training.checkpoint import Progress
from vit_dementia.training.feed import Feed
from vit_dementia.training.history import EpochRecord, read_history, write_history
from vit_dementia.training.loop import Batch, Objective, Step, classify, fit
from vit_dementia.training.material import Material
from vit_dementia.training.optimizer import learning_rate_at, make_optimizer
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.training.tracking import Tracker
from vit_dementia.training.validation import Best, HeldOut, score_held_out


@dataclass(frozen=True)
class Tally:
    """Sums over the slices of an epoch so far."""

    loss: float = 0.0
    num_correct: float = 0.0
    num_slices: int = 0
    seconds: float = 0.0

    def plus(self, step: Step, seconds: float) -> Tally:
        """Return the sums with one more batch."""
        return Tally(
            self.loss + step.losses.sum().item(),
            self.num_correct + step.is_correct.sum().item(),
            self.num_slices + len(step.losses),
            self.seconds + seconds,
        )


@dataclass(frozen=True)
class Training:
    """Everything one training needs, in memory."""

    config: RunConfig
    material: Material
    model: VisionTransformer
    feed: Feed
    fabric: Fabric
    watch: Watch

    def run(self, folder: RunFolder) -> None:
        """Train from the newest checkpoint, or from the start, to the last epoch."""
        self.watch.say(self.material.sentence())
        self.watch.say(self.material.leak.sentence())
        settings = self.config.train
        optimizer = make_optimizer(
            self.model, settings, depth=self.model.architecture.depth
        )
        place = checkpoint.load_newest(
            folder.path / "checkpoints", self.model, optimizer
        ) or Progress(step=0, epochs=0, facts={})
        wrapped, optimizer = self.fabric.setup(self.feed.network, optimizer)
        records = read_history(folder.path / "history.jsonl")[: place.epochs]
        best = Best(**place.facts.get("best", {}))
        tally = Tally(**place.facts.get("tally", {}))
        if not settings.epochs:
            self._keep(folder, best)
            write_history(folder.path, [])
        with Tracker(folder.path, after=place.epochs) as tracker:
            for epoch in range(place.epochs, settings.epochs):
                if self._is_over(best, epoch):
                    break
                tally = self._train_epoch(
                    folder,
                    wrapped,
                    optimizer,
                    epoch,
                    start=place.step,
                    best=best,
                    tally=tally,
                )
                val = score_held_out(wrapped, self.feed, self.material, "val")
                if best.is_beaten_by(val):
                    best = best.replaced_by(val, epoch=epoch + 1)
                    self._keep(folder, best)
                record = self._record(wrapped, epoch, tally, val)
                records.append(record)
                write_history(folder.path, records)
                tracker.add(record)
                self.watch.say(record.sentence(settings.epochs))
                place = Progress(
                    self._num_batches * (epoch + 1), epoch + 1, {"best": asdict(best)}
                )
                checkpoint.save(
                    folder.path / "checkpoints", self.model, optimizer, place
                )
                tally = Tally()
        if best.epoch:
            self.watch.say(best.sentence())

    def _train_epoch(
        self,
        folder: RunFolder,
        wrapped: nn.Module,
        optimizer: torch.optim.Optimizer,
        epoch: int,
        *,
        start: int,
        best: Best,
        tally: Tally,
    ) -> Tally:
        """Do the batches of one epoch that are left; return its sums."""
        settings = self.config.train
        steps = fit(
            wrapped,
            self._batches(epoch, start),
            self._objective(),
            optimizer,
            settings,
            fabric=self.fabric,
            num_steps=self._num_steps,
            seed=self.config.seed,
        )
        saved = clock = time.monotonic()
        with self.watch.count(
            f"epoch {epoch + 1}/{settings.epochs}", len(self._order(epoch))
        ) as bar:
            bar.advance(tally.num_slices)
            for step in steps:
                now = time.monotonic()
                tally, clock = tally.plus(step, now - clock), now
                bar.advance(len(step.losses), _note(tally, best))
                is_due = now - saved > 60 * settings.checkpoint_minutes
                # Not between the batches of one update: their gradient is not saved.
                if is_due and step.batch.ends_update:
                    facts = {"best": asdict(best), "tally": asdict(tally)}
                    checkpoint.save(
                        folder.path / "checkpoints",
                        self.model,
                        optimizer,
                        Progress(step.batch.step + 1, epoch, facts),
                    )
                    saved = time.monotonic()
        return tally

    @cached_property
    def _units(self) -> list[str]:
        """Whose slice each row is: a participant's, or only its own where unknown."""
        return self.material.cohort.unit_ids(self._unit)

    @property
    def _unit(self) -> Literal["participant", "image"]:
        return "participant" if self.material.cohort.participants_known else "image"

    def _order(self, epoch: int) -> Int[np.ndarray, " k"]:
        """Return the rows of the cohort that one epoch shows, in order."""
        rows = self.material.rows("train")
        settings = self.config
        return rows[
            epoch_order(
                [self._units[row] for row in rows],
                self.material.labels[rows],
                seed=settings.seed,
                epoch=epoch,
                slices_per_participant=settings.data.slices_per_participant,
                sampling="balanced"
                if settings.train.balance == "sampling"
                else "as-is",
            )
        ]

    @property
    def _num_batches(self) -> int:
        """Batches of one epoch: the same for all."""
        return -(-len(self._order(0)) // self.config.train.batch_size)

    @property
    def _num_steps(self) -> int:
        return self._num_batches * self.config.train.epochs

    def _batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from step ``start`` of the run on."""
        order, size = self._order(epoch), self.config.train.batch_size
        many, num_batches = self.config.train.accumulate, self._num_batches
        for index in range(num_batches):
            step = num_batches * epoch + index
            if step < start:
                continue
            rows = order[index * size : (index + 1) * size]
            labels = torch.from_numpy(self.material.labels[rows].astype(np.int64))
            first = index - index % many  # of the batches that make one update
            yield Batch(
                step,
                self.fabric.to_device(self.feed.take(rows, epoch)),
                self.fabric.to_device(labels),
                share=1 / min(many, num_batches - first),
                ends_update=index + 1 in (first + many, num_batches),
            )

    def _objective(self) -> Objective:
        settings, material = self.config.train, self.material
        weights = [1.0] * len(material.cohort.classes)
        if settings.balance == "weights":
            labels = material.labels[material.rows("train")]
            weights = class_weights(labels, len(weights))

        return classify(
            self.feed.prepare,
            class_weights=torch.tensor(weights, dtype=torch.float32),
            label_smoothing=settings.label_smoothing,
        )

    def _is_over(self, best: Best, epoch: int) -> bool:
        patience = self.config.train.early_stopping
        is_over = bool(patience and best.epoch and epoch - best.epoch >= patience)
        if is_over:
            self.watch.say(
                f"stopped early: no better validation score in {patience} epochs"
            )
        return is_over

    def _keep(self, folder: RunFolder, best: Best) -> None:
        cohort = self.material.cohort
        write_model_folder(
            folder.path / "model",
            self.model,
            classes=cohort.classes,
            ordered=cohort.ordered,
            preprocessing=self.material.preprocessing,
            facts=self._facts(best),
        )

    def _facts(self, best: Best) -> dict[str, object]:
        """Say what the model card says of the training. No paths, no participants."""
        material, unit, units = self.material, self._unit, np.array(self._units)
        return {
            "epoch": best.epoch,
            "seed": self.config.seed,
            "precision": str(self.fabric.strategy.precision.precision),
            f"training {unit}s": len(set(units[material.rows("train")])),
            f"validation {unit}s": len(set(units[material.rows("val")])),
            "training slices": len(material.rows("train")),
            "leakage": material.leak.sentence(),
            "allow_leakage": self.config.allow_leakage,
        }

    def _record(
        self, wrapped: nn.Module, epoch: int, tally: Tally, val: HeldOut | None
    ) -> EpochRecord:
        test = None
        if self.config.train.watch_test:
            test = score_held_out(wrapped, self.feed, self.material, "test")
        last = self._num_batches * (epoch + 1) - 1
        return EpochRecord(
            epoch=epoch + 1,
            learning_rate=learning_rate_at(last, self._num_steps, self.config.train),
            train_loss=tally.loss / tally.num_slices,
            train_accuracy=tally.num_correct / tally.num_slices,
            val_loss=val.loss if val else None,
            val_accuracy=val.accuracy if val else None,
            val_balanced_accuracy=val.balanced_accuracy if val else None,
            test_loss=test.loss if test else None,
            test_accuracy=test.accuracy if test else None,
            images_per_second=round(tally.num_slices / max(tally.seconds, 1e-9), 2),
            seconds=round(tally.seconds, 3),
        )


def _note(tally: Tally, best: Best) -> str:
    rate = tally.num_slices / max(tally.seconds, 1e-9)
    note = f"loss {tally.loss / tally.num_slices:.3f}, {rate:.1f} images/s"
    if best.epoch and best.balanced_accuracy >= 0:
        note += f", best validation {best.balanced_accuracy:.3f}"
    return note
