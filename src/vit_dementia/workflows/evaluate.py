"""Score a finished run: predictions, floors, metrics and report of one part.

Shapes: ``n`` scans of the cohort.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Shaped

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import roles
from vit_dementia.errors import DataError
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.scores import score
from vit_dementia.files import write_json
from vit_dementia.inference.compute import Device, described, make_fabric
from vit_dementia.inference.forward import logits_of, softmax
from vit_dementia.inference.model_folder import SavedModel, read_model_folder
from vit_dementia.inference.rows import predictions_of_rows
from vit_dementia.preparation.pack import pack_slices
from vit_dementia.progress import Quiet, Watch
from vit_dementia.training.history import EpochRecord, read_history
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.floors import floor_predictions
from vit_dementia.workflows.report import write_report
from vit_dementia.workflows.report_options import ReportOptions
from vit_dementia.workflows.report_study import study_of

Role = Literal["train", "val", "test"]
HISTORY = "history.jsonl"


@dataclass(frozen=True)
class Scored:
    """One part of a split with everything said about it."""

    predictions: Predictions
    floors: dict[str, Predictions]
    model: SavedModel
    cohort: Cohort
    role_of_row: Shaped[np.ndarray, " n"]
    device: str


def evaluate(
    run: RunFolder,
    *,
    role: Role = "test",
    data: Cohort | None = None,
    positive: Sequence[str] | None = None,
    device: Device = "auto",
    cache: Path | None = None,
    options: ReportOptions | None = None,
    watch: Watch | None = None,
) -> Path:
    """Write RUN/evaluation/ROLE: predictions, metrics and report; return that folder.

    Args:
        run: a finished run.
        role: whose participants to score.
        data: the run's scans, if they have moved since.
        positive: the classes to tell from the others; by default all but the first.
        device: where to compute.
        cache: where decoded scans are kept.
        options: what the report may show, and what is known beside the data.
        watch: who is told of the progress.

    Raises:
        DataError: if the part has no scans, or ``data`` are other scans.
    """
    scored = score_part(
        run, role=role, data=data, device=device, cache=cache, watch=watch or Quiet()
    )
    return write_evaluation(
        run.evaluation(role),
        scored,
        positive=positive,
        history=read_history(run.path / HISTORY),
        study=study_of(
            run, role, readable=scored.cohort, device=scored.device, options=options
        ),
        scans=scored.cohort.root if options and options.show_scans else None,
        seed=run.config.seed,
    )


def score_part(
    run: RunFolder,
    *,
    role: Role,
    data: Cohort | None = None,
    device: Device = "auto",
    cache: Path | None = None,
    watch: Watch,
) -> Scored:
    """Return predictions and floors for one part of a run's split.

    Raises:
        DataError: if there is nobody to score.
    """
    model = read_model_folder(run.path)
    everyone = run.cohort(moved_to=data)
    parts = roles(everyone, run.split(everyone).folds[run.config.fold])
    cohort, images = pack_slices(
        everyone, model.preprocessing, cache=cache, watch=watch
    )
    kept = everyone.table["path"].isin(cohort.table["path"]).to_numpy()
    parts = parts[kept]
    rows = np.flatnonzero(parts == role)
    if not len(rows):
        raise DataError(
            f"{run.path}: its split has no {role} part; choose another with --role"
        )
    fabric = make_fabric(device, run.config.train.precision)
    network = fabric.setup_module(model.network)
    with watch.count(f"predicting {role}", len(rows)) as bar:
        logits = logits_of(
            network, images, rows, model.preprocessing, fabric, advance=bar.advance
        )
    return Scored(
        predictions=predictions_of_rows(cohort, rows, softmax(logits)),
        floors=floor_predictions(
            cohort, images, train=np.flatnonzero(parts == "train"), scored=rows
        ),
        model=model,
        cohort=cohort,
        role_of_row=parts,
        device=described(fabric),
    )


def write_evaluation(
    folder: Path,
    scored: Scored,
    *,
    positive: Sequence[str] | None,
    history: Sequence[EpochRecord],
    study: Mapping[str, Any] | None,
    seed: int,
    scans: Path | None = None,
    fold_of: Mapping[str, object] | None = None,
) -> Path:
    """Write the tables, metrics and report of one scored part; return the folder."""
    predictions = scored.predictions
    predictions.write(folder / "predictions.tsv")
    if predictions.participants_known:
        predictions.by_participant().write(folder / "predictions_participants.tsv")
    for name, floor in scored.floors.items():
        floor.write(folder / "floors" / f"{name.replace(' ', '-')}.tsv")
    allowed = scored.model.facts.get("allow_leakage")
    metrics = score(
        predictions,
        positive=positive,
        ordered=scored.model.ordered,
        fold_of=fold_of,
        floors=scored.floors,
        leak_note=f"{scored.model.facts['leakage']} (allowed: {allowed})"
        if allowed
        else None,
        train_accuracy=_accuracy_of_kept(history, scored.model),
        seed=seed,
    )
    write_json(folder / "metrics.json", metrics)
    write_report(
        folder,
        metrics=metrics,
        predictions=predictions,
        floors=scored.floors,
        study=study,
        fold_of=fold_of,
        scans=scans,
    )
    return folder


def _accuracy_of_kept(
    history: Sequence[EpochRecord], model: SavedModel
) -> float | None:
    """Return how many training slices the kept epoch answered correctly."""
    kept = model.facts.get("epoch")
    found = [record.train_accuracy for record in history if record.epoch == kept]
    return found[0] if found else None
