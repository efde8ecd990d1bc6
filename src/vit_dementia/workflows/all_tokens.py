"""What it costs a network to read the patches that it was trained to leave out.

Other libraries read every patch. The same people are scored with the network as it was
trained and with all patches, so that whoever converts it sees the change.

Shapes: ``m`` scans, ``k`` classes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import roles
from vit_dementia.errors import DataError
from vit_dementia.evaluation import metrics
from vit_dementia.evaluation.endpoint import positive_classes
from vit_dementia.evaluation.metrics import UndefinedScoreError
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.rows import Rows
from vit_dementia.inference.compute import Device, make_fabric
from vit_dementia.inference.forward import softmax
from vit_dementia.inference.model_folder import SavedModel, read_model_folder
from vit_dementia.inference.reader import Reader
from vit_dementia.inference.rows import predictions_of_rows
from vit_dementia.preparation.pack import pack_scans
from vit_dementia.progress import Watch
from vit_dementia.training.run_folder import RunFolder


@dataclass(frozen=True)
class Change:
    """Scores of the same people before and after; None: undefined.

    Attributes:
        unit: ``participant``, or ``image`` where nobody knows who is on a scan.
        count: how many of them.
        whose: who they are, in words.
    """

    unit: str
    count: int
    whose: str
    auroc: tuple[float | None, float | None]
    balanced_accuracy: tuple[float | None, float | None]

    def sentences(self) -> list[str]:
        """Say the change of each score.

        >>> change = Change("participant", 9, "the test part", (0.8, 0.75), (None, 0.5))
        >>> change.sentences()[0]
        'auroc 0.800 with its own patches, 0.750 with all (-0.050)'
        """
        lines = []
        for name in ("auroc", "balanced_accuracy"):
            before, after = getattr(self, name)
            if before is None or after is None:
                lines.append(f"{name} is undefined on these {self.unit}s")
            else:
                lines.append(
                    f"{name} {before:.3f} with its own patches, {after:.3f} with all "
                    f"({after - before:+.3f})"
                )
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return the change as JSON can hold it."""
        return dataclasses.asdict(self)


def change_with_all_tokens(
    source: Path,
    cohort: Cohort,
    *,
    device: Device = "auto",
    cache: Path | None = None,
    watch: Watch,
) -> Change:
    """Score labeled scans with a saved network as it is and with all its patches.

    Args:
        source: a run or its model folder. Of a run's own scans its test part is scored.
        cohort: labeled scans.
        device: where to compute.
        cache: where decoded scans are kept.
        watch: who is told of the progress.

    Raises:
        DataError: if the scans have other classes than the network.
    """
    model = read_model_folder(source)
    if not set(cohort.classes) <= set(model.classes):
        raise DataError(
            f"{cohort.root}: found the classes {', '.join(cohort.classes)}; needs those"
            f" of the network, {', '.join(model.classes)} (--label-map)"
        )
    asked, whose = _test_part(source, cohort)
    readable, images = pack_scans(asked, model.preprocessing, cache=cache, watch=watch)
    readable = dataclasses.replace(readable, classes=model.classes)
    rows = np.arange(len(readable))
    fabric = make_fabric(device, "auto")
    whole = dataclasses.replace(model, network=model.network.seeing(None))
    said = [Reader(one, fabric)(images, rows) for one in (model, whole)]
    told = [
        predictions_of_rows(
            readable,
            rows,
            model.calibration.scaling(softmax(one.logits)),
            scores=one.scores,
        )
        for one in said
    ]
    return _change(told[0], told[1], model, whose)


def _test_part(source: Path, cohort: Cohort) -> tuple[Cohort, str]:
    """Return the test part of a run's own scans, or all of somebody else's."""
    if not (source / "split.json").is_file():
        return cohort, "all scans given"
    run = RunFolder.open(source)
    own = run.cohort()
    if own.fingerprint != cohort.fingerprint:
        return cohort, "all scans given"
    parts = roles(cohort, run.split(cohort).folds[run.config.fold])
    if not (parts == "test").any():
        return cohort, "all scans given, those of the training among them"
    return cohort.select(parts == "test"), "the run's test part"


def _change(
    before: Predictions, after: Predictions, model: SavedModel, whose: str
) -> Change:
    known = before.participants_known
    pooled = [one.by_participant() if known else one for one in (before, after)]
    positive = positive_classes(model.classes, None)
    rows = [Rows.of(one.labeled(), positive=positive) for one in pooled]
    return Change(
        unit="participant" if known else "image",
        count=len(rows[0].label),
        whose=whose,
        auroc=(_auroc(rows[0]), _auroc(rows[1])),
        balanced_accuracy=(_balanced(rows[0]), _balanced(rows[1])),
    )


def _auroc(rows: Rows) -> float | None:
    try:
        return metrics.auroc(rows.is_positive, rows.score)
    except UndefinedScoreError:
        return None


def _balanced(rows: Rows) -> float | None:
    try:
        return metrics.balanced_accuracy(rows.label, rows.predicted)
    except UndefinedScoreError:
        return None
