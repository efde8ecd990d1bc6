"""A finished run on other people's scans: the test that counts.

Whoever the model was trained on, chosen by, or fine-tuned from is refused: by
participant where ids are known, and byte for byte where they are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.copies import same_bytes
from vit_dementia.data.splits import roles
from vit_dementia.errors import DataError, LeakageError
from vit_dementia.evaluation.calibrated import LEVEL
from vit_dementia.inference.compute import Device, described, make_fabric
from vit_dementia.inference.model_folder import read_model_folder
from vit_dementia.preparation.pack import pack_scans
from vit_dementia.progress import Quiet, Watch
from vit_dementia.training.ancestry import ancestors, scans_seen
from vit_dementia.training.history import read_history
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.evaluate import HISTORY, write_evaluation
from vit_dementia.workflows.explain_examples import explain_as, refuse_hidden_maps
from vit_dementia.workflows.floors import Part
from vit_dementia.workflows.report.options import ReportOptions
from vit_dementia.workflows.report.study import EXTERNAL, study_of
from vit_dementia.workflows.robustness import robustness_of
from vit_dementia.workflows.scoring import Reading, read_run, score_rows

_FIRST = 5  # participants named in a message


@dataclass(frozen=True)
class Seen:
    """Who among other people is known to a model, and what could not be looked up."""

    participants: tuple[str, ...]
    copies: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def is_external(run: RunFolder, data: Cohort) -> bool:
    """Say whether these are other scans than the run was given."""
    return data.fingerprint != run.cohort().fingerprint


def evaluate_external(
    run: RunFolder,
    data: Cohort,
    *,
    positive: Sequence[str] | None = None,
    prevalence: float | None = None,
    level: float = LEVEL,
    robustness: bool = False,
    explain: bool = False,
    device: Device = "auto",
    cache: Path | None = None,
    options: ReportOptions | None = None,
    watch: Watch | None = None,
) -> Path:
    """Write RUN/evaluation/external-<hash of the data>; return that folder.

    The floors learn from the run's own training part, where its scans are still at
    hand; thresholds and scaling are those the run has chosen.

    Args:
        run: a finished run.
        data: other people's scans, of the model's classes.
        positive: as for ``evaluate``, as are the others.
        prevalence: see there.
        level: see there.
        robustness: see there.
        explain: see there.
        device: see there.
        cache: see there.
        options: see there.
        watch: see there.

    Raises:
        LeakageError: if somebody was seen in training.
        DataError: if the classes are others.
        ConfigError: if maps are wanted where no scan may be shown.
    """
    if explain:
        refuse_hidden_maps(options)
    watch, seed = watch or Quiet(), run.config.seed
    model = read_model_folder(run.path)
    data = _of_classes(data, model.classes, ordered=model.ordered)
    seen = refuse_seen(run, data)
    cohort, images = pack_scans(data, model.preprocessing, cache=cache, watch=watch)
    asked = Part(cohort, images, np.arange(len(cohort)))
    own = run.cohort()
    role_of_row = roles(own, run.split(own).folds[run.config.fold])
    notes = list(seen.notes)
    if all(file.is_file() for file in own.files()):
        reading = read_run(run, device=device, cache=cache, watch=watch)
        known = reading.part("train")
    else:
        notes.append(
            "The scans that the model was trained on are not at hand: there are no "
            "floors that learn from them."
        )
        known = None
        fabric = make_fabric(device, run.config.train.precision)
        nobody = np.full(len(cohort), EXTERNAL)
        reading = Reading(model, cohort, images, nobody, fabric, watch)
    scored = score_rows(
        reading,
        asked,
        known=known,
        trained_on=_labels_of_units(own, role_of_row == "train"),
        positive=positive,
        seed=seed,
    )
    worsened = None
    if robustness:
        worsened = robustness_of(
            reading, asked, scored.floors, positive=positive, seed=seed
        )
    return write_evaluation(
        run.evaluation(f"{EXTERNAL}-{data.fingerprint[:8]}"),
        scored,
        positive=positive,
        prevalence=prevalence,
        level=level,
        robustness=worsened,
        history=read_history(run.path / HISTORY),
        study=study_of(
            run,
            EXTERNAL,
            readable=cohort,
            others=data,
            device=described(reading.fabric),
            options=options,
        ),
        scans=cohort.root if options and options.show_scans else None,
        explain=explain_as(model, device) if explain else None,
        seed=seed,
        notes=["External test: other people than the run was given.", *notes],
    )


def refuse_seen(run: RunFolder, data: Cohort) -> Seen:
    """Return what could not be looked up of who was seen in training.

    Raises:
        LeakageError: if somebody was.
    """
    participants: set[str] = set()
    copies: list[tuple[str, str]] = []
    notes: list[str] = []
    theirs = set(data.table["participant_id"]) - {UNKNOWN}
    for one in [run, *ancestors(run.config.init)]:
        own = one.cohort()
        used = scans_seen(one)
        participants |= theirs & set(used.table["participant_id"])
        copies += _copies(used, data)
        if not own.participants_known:
            notes.append("The participants the model was trained on are not known.")
        elif shared := theirs & set(own.table["participant_id"]) - participants:
            notes.append(
                f"{len(shared)} participants were in the test part of the run's own "
                "split, which trained nothing."
            )
    if not data.participants_known:
        notes.append("Whose these scans are is not known of all of them.")
    if participants or copies:
        named = [*sorted(participants), *(f"{a} = {b}" for a, b in copies)]
        more = f" and {len(named) - _FIRST} more" if len(named) > _FIRST else ""
        raise LeakageError(
            f"{data.root}: {len(participants)} participants and {len(copies)} pictures "
            f"were seen in training ({', '.join(named[:_FIRST])}{more}); an external "
            "test needs other people: leave them out; or, if these are the run's own "
            "scans, give all of them, with their labels and participants"
        )
    return Seen(tuple(sorted(participants)), tuple(copies), tuple(notes))


def _copies(own: Cohort, data: Cohort) -> list[tuple[str, str]]:
    """Return pairs of paths, ours and theirs, of files with the same bytes."""
    ours = own.files()
    names = [*own.table["path"], *data.table["path"]]
    return [
        (names[group[0]], names[other])
        for group in same_bytes([*ours, *data.files()])
        for other in group[1:]
        if group[0] < len(ours) <= other
    ]


def _of_classes(data: Cohort, classes: tuple[str, ...], *, ordered: bool) -> Cohort:
    strange = sorted(set(data.table["label"]) - {*classes, UNKNOWN})
    if strange:
        raise DataError(
            f"{data.root}: found the labels {', '.join(strange)}; the model knows "
            f"{', '.join(classes)}; rename them by --label-map OLD=NEW"
        )
    return replace(data, classes=classes, ordered=ordered)


def _labels_of_units(cohort: Cohort, rows: np.ndarray) -> np.ndarray:
    """Return the label of each participant (or scan) of some rows, in order of id."""
    part = Part(cohort, np.empty((0, 1, 1, 1), np.uint8), np.flatnonzero(rows))
    return part.label[part.first]
