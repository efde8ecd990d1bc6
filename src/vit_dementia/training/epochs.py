"""The epochs of one run: train, score, keep the best, save the place."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import count
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from vit_dementia.config import RunConfig, TrainConfig
from vit_dementia.errors import DataError, DivergenceError, Interrupted
from vit_dementia.progress import Watch
from vit_dementia.training import checkpoint
from vit_dementia.training.checkpoint import Progress
from vit_dementia.training.course import Course
from vit_dementia.training.goal import Goal
from vit_dementia.training.history import EpochRecord, read_history, write_history
from vit_dementia.training.interruption import Asked, Pace, stops_kept
from vit_dementia.training.loop import Step, fit
from vit_dementia.training.material import Material
from vit_dementia.training.optimizer import learning_rate_at
from vit_dementia.training.ranks import by_first
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.training.tally import READ_EVERY, Diverged, Tally
from vit_dementia.training.tracking import Tracker
from vit_dementia.training.validation import Best, HeldOut

SLOWER = 0.1  # times the learning rate, after the loss was no number
_NAMED = 5  # files named in a message


# Called when an epoch is scored and saved; what it raises ends the training there.
AfterEpoch = Callable[[EpochRecord], object]


@dataclass(frozen=True)
class Training:
    """Everything one training needs, in memory."""

    config: RunConfig
    material: Material
    goal: Goal
    fabric: Fabric
    watch: Watch
    after_epoch: AfterEpoch = lambda _record: None

    def run(self, folder: RunFolder) -> None:
        """Train from the newest checkpoint, or from the start, to the last epoch.

        Raises:
            DivergenceError: if the loss is no number; the last good state is kept.
            Interrupted: if a signal asked to stop; the place is saved.
        """
        self.watch.say(self.material.sentence())
        self.watch.say(self.material.leak.sentence())
        for attempt in count():
            try:
                with stops_kept() as asked:
                    self._go_on(folder, asked)
            except DivergenceError as error:
                if attempt >= self.config.train.retries:
                    raise
                self.watch.say(str(error))
                slowed = by_first(self.fabric, lambda: _slow_down(folder))
                self.watch.say(
                    "going on from the last good state with the learning rate times "
                    f"{SLOWER**slowed:g}"
                )
            else:
                return

    def _go_on(self, folder: RunFolder, asked: Asked) -> None:
        goal, fabric, writes = self.goal, self.fabric, self.fabric.is_global_zero
        optimizer = goal.optimizer(self.config.train)
        scans = by_first(fabric, lambda: self.material.fingerprint)
        saved = by_first(fabric, lambda: checkpoint.newest(folder.checkpoints))
        if saved is None:
            place = Progress(step=0, epochs=0, facts={"scans": scans})
            if self.config.train.retries and writes:  # a state to go back to
                checkpoint.save(folder.checkpoints, goal.model, optimizer, place)
        else:
            if saved.progress.facts.get("scans", scans) != scans:
                raise DataError(
                    f"{folder.path}: scans or classes have changed since the run was "
                    "stopped; needs the very same to go on; begin a new run with others"
                )
            place = checkpoint.load(saved, goal.model, optimizer)
        facts = {"slowed": place.facts.get("slowed", 0), "scans": scans}
        settings = replace(
            self.config.train,
            learning_rate=self.config.train.learning_rate * SLOWER ** facts["slowed"],
        )
        wrapped, optimizer = fabric.setup(goal.feed.network, optimizer)
        records = []
        if writes:
            records = read_history(folder.path / "history.jsonl")[: place.epochs]
        pace = Pace(fabric, self.config.train.checkpoint_minutes, asked)
        best = Best(**place.facts.get("best", {}))
        tally = Tally(**place.facts.get("tally", {}))
        if not settings.epochs and writes:
            goal.keep(folder.path, best)
            write_history(folder.path, [])
        with Tracker(folder.path, after=place.epochs, writes=writes) as tracker:
            for epoch in range(place.epochs, settings.epochs):
                if self._is_over(best, epoch):
                    break
                facts["best"] = asdict(best)
                place = Progress(place.step, epoch, facts)
                tally = self._train_epoch(
                    folder, wrapped, optimizer, settings, pace, place=place, tally=tally
                )
                val = goal.score(wrapped, "val")
                if best.is_beaten_by(val):
                    best = best.replaced_by(val, epoch=epoch + 1)
                    if writes:
                        goal.keep(folder.path, best)
                record = self._record(wrapped, settings, epoch, tally, val)
                records.append(record)
                if writes:
                    write_history(folder.path, records)
                tracker.add(record)
                self.watch.say(record.sentence(settings.epochs))
                place = Progress(
                    self.course.num_batches * (epoch + 1),
                    epoch + 1,
                    facts | {"best": asdict(best)},
                )
                self._save(folder, optimizer, place)
                self._stop_if_asked(pace, folder, place)
                self.after_epoch(record)
                tally = Tally()
        if best.epoch:
            self.watch.say(best.sentence())

    def _train_epoch(
        self,
        folder: RunFolder,
        wrapped: nn.Module,
        optimizer: torch.optim.Optimizer,
        settings: TrainConfig,
        pace: Pace,
        *,
        place: Progress,
        tally: Tally,
    ) -> Tally:
        """Do the batches of one epoch that are left; return its sums."""
        course, epoch = self.course, place.epochs
        steps = fit(
            wrapped,
            course.batches(epoch, place.step, self.goal.feed, self.fabric),
            self.goal.objective(),
            optimizer,
            settings,
            fabric=self.fabric,
            num_steps=course.num_steps,
            seed=self.config.seed,
        )
        waits = self.fabric.device.type != "cpu"  # whoever reads a number back
        clock = time.monotonic()
        unread: list[Step] = []
        num_slices = len(course.order(epoch))
        title = f"epoch {epoch + 1}/{settings.epochs}"
        with self.watch.count(title, num_slices) as bar:
            bar.advance(tally.num_slices)
            for step in steps:
                unread.append(step)
                is_last = (step.batch.step + 1) % course.num_batches == 0
                is_many = len(unread) >= READ_EVERY and step.batch.ends_update
                if waits and not is_many and not is_last:
                    continue
                now = time.monotonic()
                before = tally.num_slices
                tally, clock = self._read(tally, unread, now - clock), now
                unread = []
                bar.advance(
                    tally.num_slices - before, _note(tally, place.facts["best"])
                )
                # Not between the batches of one update: their gradient is not saved.
                # Nor after the last of the epoch, which is saved with its score.
                if step.batch.ends_update and not is_last and pace.look()[0]:
                    facts = place.facts | {"tally": asdict(tally)}
                    reached = Progress(step.batch.step + 1, epoch, facts)
                    self._save(folder, optimizer, reached)
                    self._stop_if_asked(pace, folder, reached)
                    pace.begin()
        return tally

    def _read(self, tally: Tally, steps: Sequence[Step], seconds: float) -> Tally:
        """Return the sums with more steps, if all of them are sound."""
        try:
            return tally.plus(steps, seconds, self.fabric)
        except Diverged as diverged:
            step = diverged.step.batch.step
            table = self.material.cohort.table
            files = [str(table["path"].iloc[r]) for r in self.course.rows_of(step)]
            named = ", ".join(files[:_NAMED])
            more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
            raise DivergenceError(
                f"step {step + 1}, epoch {step // self.course.num_batches + 1}: the "
                f"loss is {diverged.loss:g} on {named}{more}; needs a number; the last "
                "good state is kept: look at these files, or lower --learning-rate "
                f"(now {diverged.step.learning_rate:g}), or let --train.retries 1 do so"
            ) from diverged

    def _save(
        self, folder: RunFolder, optimizer: torch.optim.Optimizer, place: Progress
    ) -> None:
        """Save the place, unless the last update left weights that are no numbers."""
        if not all(bool(p.isfinite().all()) for p in self.goal.model.parameters()):
            raise DivergenceError(
                f"step {place.step}: the update left weights that are no numbers; "
                "the last good state is kept: lower --learning-rate, or let "
                "--train.retries 1 do so"
            )
        if self.fabric.is_global_zero:
            checkpoint.save(folder.checkpoints, self.goal.model, optimizer, place)

    def _stop_if_asked(self, pace: Pace, folder: RunFolder, place: Progress) -> None:
        number = pace.look()[1]
        if number:
            raise Interrupted(
                f"stopped after step {place.step} of {self.course.num_steps}",
                f"vit-dementia train --resume {folder.path}",
                number,
            )

    @cached_property
    def course(self) -> Course:
        """Which slices stand in which step."""
        return Course(self.config, self.material)

    def _is_over(self, best: Best, epoch: int) -> bool:
        patience = self.config.train.early_stopping
        is_over = bool(patience and best.epoch and epoch - best.epoch >= patience)
        if is_over:
            self.watch.say(
                f"stopped early: no better validation score in {patience} epochs"
            )
        return is_over

    def _record(
        self,
        wrapped: nn.Module,
        settings: TrainConfig,
        epoch: int,
        tally: Tally,
        val: HeldOut | None,
    ) -> EpochRecord:
        test = None
        if self.config.train.watch_test:
            test = self.goal.score(wrapped, "test")
        last = self.course.num_batches * (epoch + 1) - 1
        return EpochRecord(
            epoch=epoch + 1,
            learning_rate=learning_rate_at(last, self.course.num_steps, settings),
            train_loss=tally.loss / tally.num_slices,
            train_accuracy=tally.accuracy,
            val_loss=val.loss if val else None,
            val_accuracy=val.accuracy if val else None,
            val_balanced_accuracy=val.balanced_accuracy if val else None,
            test_loss=test.loss if test else None,
            test_accuracy=test.accuracy if test else None,
            images_per_second=round(tally.num_slices / max(tally.seconds, 1e-9), 2),
            seconds=round(tally.seconds, 3),
        )


def _slow_down(folder: RunFolder) -> int:
    """Remember that the rate is lowered; return how many times it is by now."""
    slowed: int = checkpoint.add_fact(
        folder.checkpoints, "slowed", lambda old: (old or 0) + 1
    )
    return slowed


def _note(tally: Tally, best: Mapping[str, Any]) -> str:
    rate = tally.num_slices / max(tally.seconds, 1e-9)
    note = f"loss {tally.loss / tally.num_slices:.3f}, {rate:.1f} images/s"
    if best["epoch"] and best["balanced_accuracy"] is not None:
        note += f", best validation {best['balanced_accuracy']:.3f}"
    return note
