"""Volumes for a model, prepared as those that it was trained on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vit_dementia.data.volumes import Volume, read_volume
from vit_dementia.errors import DataError, RefusedError, ScanError
from vit_dementia.preparation.record import faults_against, quality_in, recorded
from vit_dementia.quality.found import look_at_found
from vit_dementia.quality.verdict import Quality

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


@dataclass(frozen=True, eq=False)
class Judged:
    """A volume as a model reads it, and whether it is usable."""

    volume: Volume
    quality: Quality


def read_prepared(path: Path, facts: Facts | None) -> Volume:
    """Return a volume as a model reads it.

    Args:
        path: the volume.
        facts: of the model's training volumes; None if those were not prepared.

    Raises:
        ScanError: if it cannot be read, was prepared in another way, or is refused by
            quality control while it is prepared.
        ConfigError: if software that the pipeline needs is not installed.
    """
    if facts_of(path) == facts:
        return read_volume(path)
    return judged(path, facts).volume


def judged(path: Path, facts: Facts | None) -> Judged:
    """Return a volume as a model reads it, with the verdict of quality control.

    Of a prepared volume that is the verdict in its sidecar; of one that the model reads
    as it was found, that on what was found.

    Args:
        path: the volume.
        facts: of the model's training volumes; None if those were not prepared.

    Raises:
        ScanError: if it cannot be read or was prepared in another way.
        RefusedError: if quality control refuses it.
        ConfigError: if software that the pipeline needs is not installed.
    """
    own = None if path.is_dir() else recorded(path)
    found = None if own is None else json.dumps(own["Facts"], sort_keys=True)
    if facts is None and found is not None:
        raise ScanError(
            f"{path}: is prepared, and the model was trained on volumes that were not; "
            "needs the scan as it was found"
        )
    if facts is not None and found not in (None, facts):
        fault = faults_against(json.loads(facts), json.loads(found or "null"))
        raise ScanError(f"{path}: {fault}")
    volume = read_volume(path)
    if own is not None:
        quality = quality_in(own)
    elif facts is None:
        quality = look_at_found(volume.voxels, volume.spacing_mm)
    else:
        return _prepared_here(path, volume, json.loads(facts))
    _refuse(path, quality)
    return Judged(volume, quality)


def is_in_template(path: Path, facts: Facts | None) -> bool:
    """Say whether a volume was laid onto the template, by us or as its name says.

    Args:
        path: the volume.
        facts: how a model's volumes are prepared; None: as they were found.

    >>> is_in_template(Path("sub-01_space-MNI152NLin2009cSym_T1w.nii.gz"), None)
    True
    """
    if facts is not None:
        return bool(json.loads(facts)["pipeline"] != "none")
    return "space-MNI152" in path.name


def _prepared_here(path: Path, volume: Volume, needed: dict[str, Any]) -> Judged:
    from vit_dementia.preparation.checked import prepare_checked
    from vit_dementia.preparation.pipeline import Pipeline
    from vit_dementia.preparation.templates import CLINICA, CLINICA_SHA256

    settings = ("pipeline", "spacing_mm", "skull_strip", "intensity", "seed")
    template = CLINICA if needed["template"] == CLINICA_SHA256 else None
    pipeline = Pipeline(**{name: needed[name] for name in settings}, template=template)
    pipeline.require()
    if fault := faults_against(needed, pipeline.facts()):  # other template or software
        raise ScanError(f"{path}: here it would be {fault}")
    checked = prepare_checked(volume, pipeline)
    _refuse(path, checked.quality)
    assert checked.prepared is not None  # or it would have failed
    return Judged(replace(checked.prepared.volume, notes=volume.notes), checked.quality)


def _refuse(path: Path, quality: Quality) -> None:
    if quality.verdict == "fail":
        reasons = "; ".join(reason.text for reason in quality.reasons)
        raise RefusedError(f"{path}: refused by quality control: {reasons}")
