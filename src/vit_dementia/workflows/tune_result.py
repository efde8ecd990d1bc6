"""What a search found: a table of its trials and the best of them as a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vit_dementia import DISCLAIMER, recipes
from vit_dementia.data.splits import Split
from vit_dementia.files import write_text
from vit_dementia.training.history import EpochRecord
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.training.validation import Best, HeldOut
from vit_dementia.workflows.tune_space import said, with_values

FORMAT_VERSION = 1
COMPLETE = "complete"  # Optuna's word for a trial that was trained to its end


@dataclass(frozen=True)
class Trial:
    """One training of a search.

    Attributes:
        number: from 0.
        state: complete, pruned, fail, or running: stopped, and to be gone on with.
        values: the settings that were chosen, by their whole names.
        records: its epochs.
    """

    number: int
    state: str
    values: Mapping[str, Any]
    records: Sequence[EpochRecord]

    @cached_property
    def kept(self) -> Best:
        """The epoch that is kept, by the rule of every training."""
        return kept_of(self.records)

    @property
    def scores(self) -> HeldOut | None:
        """Those of the epoch that is kept; None before the first."""
        return _scores(self.records[self.kept.epoch - 1]) if self.kept.epoch else None

    def to_dict(self) -> dict[str, Any]:
        """Return the trial as JSON can hold it."""
        return {
            "trial": self.number,
            "state": self.state,
            "balanced_accuracy": self.kept.balanced_accuracy,
            "loss": self.kept.loss,
            "best_epoch": self.kept.epoch,
            "epochs": len(self.records),
            "seconds": round(sum(record.seconds for record in self.records), 1),
            **self.values,
        }


def kept_of(records: Sequence[EpochRecord]) -> Best:
    """Return the epoch that a training keeps, by the rule of every training."""
    best = Best()
    for record in records:
        found = _scores(record)
        if best.is_beaten_by(found):
            best = best.replaced_by(found, epoch=record.epoch)
    return best


def _scores(record: EpochRecord) -> HeldOut | None:
    if record.val_loss is None:
        return None
    return HeldOut(record.val_loss, record.val_accuracy, record.val_balanced_accuracy)


@dataclass(frozen=True)
class Found:
    """What a search has found so far.

    Attributes:
        folder: of the search.
        split: who trained and who chose.
        trials: in the order they were made.
    """

    folder: RunFolder
    split: Split
    trials: Sequence[Trial]

    @property
    def table(self) -> Path:
        """The file with a line for each trial."""
        return self.folder.path / "trials.tsv"

    @property
    def recipe(self) -> Path:
        """The file with the settings of the best trial."""
        return self.folder.path / "best.toml"

    @property
    def best(self) -> Trial | None:
        """The best trial that was trained to its end, by the rule of epochs."""
        best: Trial | None = None
        for trial in self.trials:
            is_complete = trial.state == COMPLETE and trial.scores is not None
            if is_complete and (best is None or best.kept.is_beaten_by(trial.scores)):
                best = trial
        return best

    def to_dict(self) -> dict[str, Any]:
        """Return what ``tune --json`` prints."""
        return {
            "format": FORMAT_VERSION,
            "best": None if self.best is None else self.best.number,
            "recipe": None if self.best is None else self.recipe.as_posix(),
            "trials": [trial.to_dict() for trial in self.trials],
            "disclaimer": DISCLAIMER,
        }

    def sentence(self) -> str:
        """Say which trial was best."""
        if self.best is None:
            return "no trial was trained to its end yet: go on by --resume"
        return f"best: trial {self.best.number}, {said(self.best.values)}"

    def write(self) -> None:
        """Write the table, and the recipe if a trial was trained to its end."""
        rows = [trial.to_dict() for trial in self.trials]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        lines = [columns, *([_cell(row.get(n)) for n in columns] for row in rows)]
        write_text(self.table, "".join("\t".join(line) + "\n" for line in lines))
        if self.best is not None:
            config = with_values(self.folder.config, self.best.values)
            write_text(self.recipe, recipes.to_recipe(config, self._head(self.best)))

    def _head(self, best: Trial) -> list[str]:
        who = f"{len(self.split.folds[0].val)} validation {self.split.unit}s"
        score = round(best.kept.balanced_accuracy or 0.0, 3)
        return [
            f"Trial {best.number}, the best of {len(self.trials)} of a search.",
            "",
            "Command: vit-dementia train DATA --recipe best.toml --split split.json",
            f"Chosen by: balanced accuracy {score} of {who}.",
            "That number flatters, being the best of many: score the test part, once.",
        ]


def _cell(value: Any) -> str:
    if value is None:
        return "n/a"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
