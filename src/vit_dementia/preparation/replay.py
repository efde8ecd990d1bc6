"""Volumes for a model, prepared as those that it was trained on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vit_dementia.data.volumes import Volume, read_volume
from vit_dementia.errors import DataError, ScanError
from vit_dementia.preparation.record import faults_against, recorded

Facts = str
"""``Pipeline.facts`` as JSON with its keys sorted: it can be compared and hashed."""


def facts_of(path: Path) -> Facts | None:
    """Return how a volume was prepared; None if not by this program.

    Raises:
        ScanError: if what stands beside it cannot be read.
    """
    own = None if path.is_dir() else recorded(path)  # a folder is a series of DICOM
    return None if own is None else json.dumps(own["Facts"], sort_keys=True)


def common_facts(files: Sequence[Path]) -> Facts | None:
    """Return how all volumes of a training were prepared; None: as they were found.

    Raises:
        DataError: if they were prepared in several ways.
    """
    ways = Counter(facts_of(file) for file in files)
    if len(ways) > 1:
        told = [
            f"{num} volumes: {'as they were found' if way is None else way}"
            for way, num in ways.most_common()
        ]
        raise DataError(
            f"the volumes were prepared in {len(ways)} ways, and one is needed; "
            "prepare them all at once: vit-dementia prepare DATA OUT",
            *told,
        )
    return next(iter(ways), None)


def read_prepared(path: Path, needed: Facts | None) -> Volume:
    """Return a volume as a model needs it; one that nobody prepared is prepared now.

    Args:
        path: a prepared volume, or a scan as it was found.
        needed: how the model's training volumes were prepared.

    Raises:
        ScanError: if it was prepared in another way, cannot be prepared in the same
            way here, or is refused by quality control.
    """
    found = facts_of(path)
    if found == needed:
        return read_volume(path)
    if needed is None:
        raise ScanError(
            f"{path}: was prepared, and the model was trained on volumes that were "
            "not; give it the volume as it was found"
        )
    if found is not None:
        fault = faults_against(json.loads(needed), json.loads(found))
        raise ScanError(f"{path}: {fault}")
    return _prepared_now(path, needed)


def _prepared_now(path: Path, needed: Facts) -> Volume:
    """Prepare a scan as the training volumes were.

    Raises:
        ScanError: if the template or the software is another, or quality control says
            no.
    """
    from vit_dementia.preparation import checked
    from vit_dementia.preparation.pipeline import Pipeline

    told = json.loads(needed)
    names = ("pipeline", "spacing_mm", "skull_strip", "intensity", "seed")
    pipeline = Pipeline(**{name: told[name] for name in names})
    pipeline.require()
    if fault := faults_against(told, pipeline.facts()):
        raise ScanError(f"{path}: would be {fault}")
    made = checked.prepare_checked(read_volume(path), pipeline)
    if made.prepared is None or made.quality.verdict == "fail":
        reasons = "; ".join(reason.text for reason in made.quality.reasons)
        raise ScanError(f"{path}: refused by quality control: {reasons}")
    return made.prepared.volume
