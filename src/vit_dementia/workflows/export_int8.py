"""What 8-bit numbers cost: a model exported with them, scored beside the one it was.

Calibrated on training scans, scored on the validation part; the test part is for one
score of one model. Rounding changes logits by more than an export may: instead of a
tolerance there is the change in score, to be read.

Shapes: ``n`` scans, ``c`` channels, ``k`` classes, ``*space`` the sides of a scan.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int

from vit_dementia import DISCLAIMER
from vit_dementia.data.splits import roles
from vit_dementia.errors import ConfigError, DataError, ScanError
from vit_dementia.evaluation.metrics import auroc, balanced_accuracy
from vit_dementia.export.engines import not_installed
from vit_dementia.export.formats import open_onnx
from vit_dementia.export.int8 import NUM_CALIBRATION, write_int8
from vit_dementia.files import replacing_folder, write_json
from vit_dementia.inference.forward import softmax
from vit_dementia.inference.model_folder import SavedModel, read_model_folder
from vit_dementia.preparation.spec import rows_of, rows_per_scan
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.export import (
    AT_ONCE,
    FORMAT_VERSION,
    logits_of,
)


@dataclass(frozen=True)
class Score:
    """How good the answers are, by participant.

    Attributes:
        auroc: any class but the first against it; None if only one side is there.
        balanced_accuracy: mean share of each class answered correctly.
    """

    auroc: float | None
    balanced_accuracy: float


@dataclass(frozen=True)
class Rounded:
    """What rounding did to the answers on the validation part."""

    path: Path
    num_calibration: int
    num_scans: int
    num_units: int
    largest_difference: float
    same_class: float
    before: Score
    after: Score

    def sentence(self) -> str:
        """Say in one line what rounding changed."""
        changes = [
            f"balanced accuracy {self.before.balanced_accuracy:.3f} to "
            f"{self.after.balanced_accuracy:.3f}"
        ]
        if self.before.auroc is not None and self.after.auroc is not None:
            changes.append(f"AUROC {self.before.auroc:.3f} to {self.after.auroc:.3f}")
        return (
            f"of {self.num_units} who chose the epoch, {', '.join(changes)}; "
            f"{self.same_class:.1%} of their {self.num_scans} scans keep their class"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON can hold it."""
        return {
            "format": FORMAT_VERSION,
            "written": "onnx-int8",
            "scans_calibrated_on": self.num_calibration,
            "validation_scans": self.num_scans,
            "validation_units": self.num_units,
            "largest_difference_of_logits": self.largest_difference,
            "share_of_scans_with_the_same_class": self.same_class,
            "before": asdict(self.before),
            "after": asdict(self.after),
            "disclaimer": DISCLAIMER,
        }


@dataclass(frozen=True)
class _Part:
    scans: Float32[np.ndarray, "n c *space"]
    labels: Int[np.ndarray, " n"]
    units: list[str]


def export_int8(source: Path, out: Path) -> Rounded:
    """Write a run's model for ONNX Runtime with 8-bit numbers, and what that costs.

    Args:
        source: a run whose scans are where they were.
        out: a new folder.

    Raises:
        DataError: if it is no run, its scans are gone, or it has no validation part.
        ConfigError: if the runtime is not installed, or the model weighs slices.
    """
    RunFolder.refuse_taken(out)
    folder, model = RunFolder.open(source), read_model_folder(source)
    if model.weighs_slices:
        raise ConfigError(
            f"{source}: was trained with train.slice_pooling attention, which is not"
            " exported in 8-bit numbers; choose another format, such as onnx"
        )
    chosen = _read(folder, model, "val")
    shown = _read(folder, model, "train", at_most=NUM_CALIBRATION)
    before = logits_of(model.network, chosen.scans)
    with replacing_folder(out) as aside:
        try:
            write_int8(model, aside, shown.scans)
            answer = open_onnx(aside)
        except ImportError as error:
            raise not_installed("onnx", error) from error
        starts = range(0, len(chosen.scans), AT_ONCE)
        after = np.concatenate([answer(chosen.scans[s : s + AT_ONCE]) for s in starts])
        done = Rounded(
            path=out,
            num_calibration=len(shown.scans),
            num_scans=len(chosen.scans),
            num_units=len(set(chosen.units)),
            largest_difference=float(np.abs(after - before).max()),
            same_class=float(np.mean(after.argmax(axis=1) == before.argmax(axis=1))),
            before=_score(before, chosen),
            after=_score(after, chosen),
        )
        write_json(aside / "export.json", done.to_dict())
    return done


def _read(
    folder: RunFolder, model: SavedModel, role: str, *, at_most: int | None = None
) -> _Part:
    """Read the scans of one part, spread over it if there are more than wanted."""
    cohort = folder.cohort()
    config = folder.config
    role_of_row = roles(cohort, folder.split(cohort).folds[config.fold])
    rows = np.flatnonzero(role_of_row == role)
    if at_most is not None:
        rows = rows[:: max(1, -(-len(rows) // at_most))]
    known = cohort.participants_known
    names = cohort.unit_ids("participant" if known else "image")
    found, labels, units = [], [], []
    for row in rows.tolist():
        try:
            stored = model.preprocessing.read(cohort.file_of(row))
        except ScanError:
            continue  # left out in training too
        found.append(stored)
        labels += [cohort.labels()[row]] * rows_per_scan(model.preprocessing)
        units += [names[row]] * rows_per_scan(model.preprocessing)
    if not found:
        raise DataError(
            f"{folder.path}: found no scan of its {role} part that can be read; 8-bit"
            " numbers need some, of train to be fitted to and of val to be scored on"
        )
    stacked = rows_of(model.preprocessing, np.stack(found))
    inputs = model.preprocessing.normalize(torch.from_numpy(stacked.copy()))
    return _Part(inputs.numpy(), np.array(labels), units)


def _score(logits: Float32[np.ndarray, "n k"], part: _Part) -> Score:
    """Score the mean probability of each participant, or image where unknown."""
    _, first, group = np.unique(part.units, return_index=True, return_inverse=True)
    summed = np.zeros((len(first), logits.shape[1]))
    np.add.at(summed, group, softmax(logits))
    labels = part.labels[first]
    positive = labels > 0
    both = positive.any() and not positive.all()
    any_class = 1 - summed[:, 0] / summed.sum(axis=1)
    return Score(
        auroc=auroc(positive, any_class) if both else None,
        balanced_accuracy=balanced_accuracy(labels, summed.argmax(axis=1)),
    )
