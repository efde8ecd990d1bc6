"""What a finished model says of scans: one pass that evaluation is made of.

Shapes: ``n`` scans of the cohort, ``m`` of them scored, ``c`` channels, ``space`` the
sides of each, ``u`` participants, ``k`` classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped, UInt8
from lightning_fabric import Fabric

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import roles
from vit_dementia.errors import DataError
from vit_dementia.evaluation.calibrated import Calibration
from vit_dementia.evaluation.endpoint import positive_classes
from vit_dementia.evaluation.lines import Line
from vit_dementia.evaluation.permuted import Relearned
from vit_dementia.evaluation.predictions import UNKNOWN, Predictions
from vit_dementia.evaluation.subgroups import age_bands
from vit_dementia.inference.compute import Device, make_fabric
from vit_dementia.inference.forward import softmax
from vit_dementia.inference.model_folder import SavedModel, read_model_folder
from vit_dementia.inference.reader import Read, Reader
from vit_dementia.inference.rows import predictions_of_rows
from vit_dementia.preparation.pack import pack_scans
from vit_dementia.progress import Watch
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.floors import Part, floor_predictions, relearned_floors

Role = Literal["train", "val", "test"]
Images = UInt8[np.ndarray, "n c *space"]


@dataclass(frozen=True)
class Reading:
    """A run's model with its readable scans, ready to be asked.

    Attributes:
        role_of_row: the part of the split in which each scan stands.
    """

    model: SavedModel
    cohort: Cohort
    images: Images
    role_of_row: Shaped[np.ndarray, " n"]
    fabric: Fabric
    watch: Watch

    @cached_property
    def reader(self) -> Reader:
        """The model where it computes."""
        return Reader(self.model, self.fabric)

    def rows(self, role: str) -> Int[np.ndarray, " m"]:
        """Return the rows of one part of the split."""
        return np.flatnonzero(self.role_of_row == role)

    def part(self, role: str) -> Part:
        """Return the scans of one part of the split."""
        return Part(self.cohort, self.images, self.rows(role))

    def read(self, images: Images, rows: Int[np.ndarray, " m"], what: str) -> Read:
        """Return what the network says of some slices."""
        with self.watch.count(what, len(rows)) as bar:
            return self.reader(images, rows, advance=bar.advance)

    def answer(
        self, images: Images, *, what: str = "predicting"
    ) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " n"] | None]:
        """Return what the model says of all of these slices, mended, and their scores.

        None: it does not weigh slices.
        """
        told = self.read(images, np.arange(len(images)), what)
        return self.model.calibration.scaling(softmax(told.logits)), told.scores


@dataclass(frozen=True)
class Scored:
    """Some scans with everything that was said about them.

    Attributes:
        relearned: what the linear floors say after learning permuted labels.
        ordered: the classes are in order of severity.
        facts: of the model's training.
        lines: thresholds chosen on validation participants.
        groups: what participants (or, where they are not known, scans) are grouped by.
        calibration: of the model.
        said: the same for ``metrics.json``.
    """

    predictions: Predictions
    floors: dict[str, Predictions]
    relearned: Mapping[str, Relearned]
    cohort: Cohort
    ordered: bool
    facts: Mapping[str, Any]
    lines: Mapping[str, Line]
    groups: Mapping[str, Mapping[str, str]]
    calibration: Calibration
    said: Mapping[str, Any]
    fabric: Fabric


def read_run(
    run: RunFolder,
    *,
    data: Cohort | None = None,
    device: Device = "auto",
    cache: Path | None = None,
    watch: Watch,
) -> Reading:
    """Open a run's model and read the scans it was given.

    Args:
        run: a finished run.
        data: the same scans, where they are now.
        device: where to compute.
        cache: where decoded scans are kept.
        watch: who is told of the progress.
    """
    model = read_model_folder(run.path)
    everyone = run.cohort(moved_to=data)
    split = run.split(everyone)
    cohort, images = pack_scans(everyone, model.preprocessing, cache=cache, watch=watch)
    parts = roles(cohort, split.folds[run.config.fold])
    fabric = make_fabric(device, run.config.train.precision)
    return Reading(model, cohort, images, parts, fabric, watch)


def score_part(
    reading: Reading,
    role: Role,
    *,
    positive: Sequence[str] | None = None,
    seed: int = 0,
) -> Scored:
    """Return predictions and floors for one part of a run's split.

    Raises:
        DataError: if there is nobody to score.
    """
    rows = reading.rows(role)
    if not len(rows):
        raise DataError(
            f"{reading.cohort.root}: the split has no {role} part; choose another with "
            "--role"
        )
    known = reading.part("train")
    return score_rows(
        reading,
        reading.part(role),
        known=known,
        trained_on=known.label[known.first],
        positive=positive,
        seed=seed,
    )


def score_rows(
    reading: Reading,
    asked: Part,
    *,
    known: Part | None,
    trained_on: Int[np.ndarray, " u"],
    positive: Sequence[str] | None = None,
    seed: int = 0,
) -> Scored:
    """Return predictions and floors for some scans, of the run's cohort or another.

    Args:
        reading: the run.
        asked: the scans.
        known: the scans trained on; None if they are not at hand.
        trained_on: the label of each participant trained on.
        positive: the classes to tell from the others; by default all but the first.
        seed: of the dice of a floor.
    """
    model = reading.model
    told = reading.read(asked.images, asked.rows, "predicting")
    mended = model.calibration.scaling(softmax(told.logits))
    return Scored(
        predictions=predictions_of_rows(
            asked.cohort, asked.rows, mended, scores=told.scores, abstained=~told.fits
        ),
        floors=floor_predictions(
            known,
            asked,
            classes=model.classes,
            trained_on=trained_on,
            answer_erased=lambda images: reading.answer(images, what="brain erased"),
            seed=seed,
        ),
        relearned={}
        if known is None
        else relearned_floors(known, asked, classes=model.classes, seed=seed),
        cohort=asked.cohort,
        ordered=model.ordered,
        facts=model.facts,
        lines=_lines(reading, positive_classes(model.classes, positive)),
        groups=groups_of(asked.cohort),
        calibration=model.calibration,
        # Sets are calibrated on those who are scored here, so they say nothing of them.
        said=replace(model.calibration, sets=None).to_dict(model=model.sha256),
        fabric=reading.fabric,
    )


def groups_of(cohort: Cohort) -> dict[str, dict[str, str]]:
    """Group people by what the cohort's own columns say: age band, sex, site."""
    table = cohort.table
    key = "participant_id" if cohort.participants_known else "path"
    first = table.drop_duplicates(key)
    ages = pd.to_numeric(first["age"], errors="coerce").to_numpy(float)
    columns = {
        "age": age_bands(ages),
        "sex": first["sex"].astype(str).tolist(),
        "site": first["site"].astype(str).tolist(),
    }
    return {
        name: dict(zip(first[key], values, strict=True))
        for name, values in columns.items()
        if set(values) != {UNKNOWN}
    }


def _lines(reading: Reading, positive: tuple[str, ...]) -> dict[str, Line]:
    """Return the thresholds chosen on validation participants for this endpoint."""
    calibration = reading.model.calibration
    rows = reading.rows("val")
    if calibration.positive != positive and len(rows):
        told = reading.read(reading.images, rows, "predicting validation")
        calibration = Calibration.fit(
            predictions_of_rows(
                reading.cohort,
                rows,
                softmax(told.logits),
                scores=told.scores,
                by_scan=False,
            ),
            positive=positive,
        )
    elif calibration.positive != positive:
        return {}
    chosen_on = f"{calibration.n_participants} validation participants"
    return {name: Line(value, chosen_on) for name, value in calibration.lines.items()}
