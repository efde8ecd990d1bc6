"""What the finished model learns from its validation participants about its answers."""

from __future__ import annotations

import numpy as np
from lightning_fabric import Fabric

from vit_dementia.evaluation.calibrated import Calibration
from vit_dementia.inference.forward import softmax
from vit_dementia.inference.model_folder import (
    SavedModel,
    is_calibrated,
    read_model_folder,
    write_calibration,
    write_likeness,
)
from vit_dementia.inference.reader import Reader
from vit_dementia.inference.rows import predictions_of_rows
from vit_dementia.preparation.likeness import FEWEST, Likeness
from vit_dementia.training.material import Material
from vit_dementia.training.run_folder import RunFolder

_SCANS_SEEN = 1_000  # of the training, to learn what they look like
_FEWEST_UNKNOWN = 50  # slices, where nobody knows how many people they show


def calibrate(material: Material, folder: RunFolder, fabric: Fabric) -> None:
    """Write ``model/calibration.json``, unless it is there: a resumed run keeps it.

    The validation participants chose the epoch, so they flatter a little; there is
    nobody else, as the test part is for being scored once, at the end.
    """
    has_model = (folder.path / "model").is_dir()  # none before the first epoch
    if has_model and not is_calibrated(folder.path):
        model = read_model_folder(folder.path)
        if (likeness := _likeness(material)) is not None:
            write_likeness(folder.path, likeness)
        write_calibration(folder.path, _fitted(model, material, fabric))


def _likeness(material: Material) -> Likeness | None:
    """Return what the training scans look like; None for few people."""
    rows, cohort = material.rows("train"), material.cohort
    known = cohort.participants_known
    units = np.array(cohort.unit_ids("participant" if known else "image"))[rows]
    different = np.unique(units)
    if len(different) < (FEWEST if known else _FEWEST_UNKNOWN):
        return None
    # All slices of some people rather than some of all: a limit holds for whole people.
    count = max(FEWEST, len(different) * _SCANS_SEEN // max(len(rows), _SCANS_SEEN))
    evenly = np.linspace(0, len(different) - 1, count).astype(int)
    seen = np.isin(units, different[evenly])
    return Likeness.of(material.images[rows[seen]], units[seen] if known else None)


def _fitted(model: SavedModel, material: Material, fabric: Fabric) -> Calibration:
    rows = material.rows("val")
    if not len(rows):
        return Calibration.none(model.classes, "no validation part")
    if material.leak:
        return Calibration.none(model.classes, "the parts of the split leak")
    said = Reader(model, fabric)(material.images, rows)
    if not np.isfinite(said.rows).all():
        return Calibration.none(model.classes, "its answers are no finite numbers")
    told = predictions_of_rows(
        material.cohort,
        rows,
        softmax(said.logits),
        scores=said.scores,
        by_scan=False,
    )
    return Calibration.fit(told, positive=model.classes[1:])
