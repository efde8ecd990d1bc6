"""One scan, from its file to the prepared volume and its verdict, in a worker process.

Letters: ``h w`` pixels; ``v`` voxels of 4 mm.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8

from vit_dementia.data.dicom import is_dicom
from vit_dementia.data.volumes import Volume, read_volume, write_volume
from vit_dementia.errors import ScanError
from vit_dementia.files import fingerprint, sha256_of, write_json
from vit_dementia.preparation.checked import prepare_checked
from vit_dementia.preparation.grids import shown_on
from vit_dementia.preparation.pipeline import Pipeline
from vit_dementia.preparation.record import (
    quality_in,
    record_of,
    recorded,
    sidecar_of,
)
from vit_dementia.preparation.reference import GRID, reference
from vit_dementia.quality.cohort import row_of
from vit_dementia.quality.verdict import Quality
from vit_dementia.workflows.prepare_pictures import overlay

Outcome = Literal["prepared", "kept", "refused", "failed"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One scan to prepare.

    Attributes:
        source: the scan.
        target: where the prepared volume goes.
        pipeline: how it is prepared.
        keep_failed: write it also if quality control refuses it.
    """

    source: Path
    target: Path
    pipeline: Pipeline
    keep_failed: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """What became of one scan.

    Attributes:
        outcome: ``prepared`` now, ``kept`` from an earlier run, ``refused`` by quality
            control, or ``failed`` because it could not be read or registered.
        quality: the verdict; None if it failed.
        cause: why it failed.
        seconds: that it took.
        content: SHA-256 of the scan.
        picture: its registration, for the contact sheet.
        row: what is compared with other scans.
    """

    outcome: Outcome
    quality: Quality | None = None
    cause: str = ""
    seconds: float = 0.0
    content: str = ""
    picture: UInt8[np.ndarray, "h w 3"] | None = None
    row: Float32[np.ndarray, " v"] | None = None


def unread(task: Task) -> str:
    """Return why a scan cannot be read; nothing if it can, or was before."""
    if task.target.is_file():
        return ""
    try:
        read_volume(task.source)
    except ScanError as error:
        return _cause(task, error)
    return ""


def prepare_scan(task: Task) -> Result:
    """Prepare and judge one scan, or find that this has been done.

    Whatever is wrong with the scan is part of the result.
    """
    start = time.monotonic()
    content = ""
    try:
        content = content_of(task.source)
        return _kept(task, content) or _made(task, content, start)
    except ScanError as error:
        cause, seconds = _cause(task, error), time.monotonic() - start
        return Result(outcome="failed", cause=cause, content=content, seconds=seconds)


def _cause(task: Task, error: ScanError) -> str:
    cause = str(error).removeprefix(f"{task.source}: ")
    return cause.replace(str(task.source), task.source.name)  # no whole path


def content_of(source: Path) -> str:
    """Return the SHA-256 of a scan's bytes; of DICOM, one of all files beside it.

    Raises:
        ScanError: if it cannot be read.
    """
    try:
        if source.is_dir() or (source.is_file() and is_dicom(source)):
            folder = source if source.is_dir() else source.parent
            inside = sorted(path for path in folder.rglob("*") if path.is_file())
            return fingerprint([sha256_of(path) for path in inside])
        if source.is_file():  # a pipe would block
            return sha256_of(source)
    except OSError as error:
        raise ScanError(f"{source}: cannot be read ({error.strerror})") from error
    raise ScanError(f"{source}: is not a file")


def _kept(task: Task, content: str) -> Result | None:
    """Return what an earlier run has made of the same bytes by the same pipeline."""
    if not task.target.is_file():
        return None
    try:
        own = recorded(task.target)
        if own is None or own["Key"] != task.pipeline.key(content):
            return None
        volume = read_volume(task.target)
    except ScanError:
        return None  # damaged, or of another version: made anew
    quality = quality_in(own)
    if quality.verdict == "fail" and not task.keep_failed:
        return None
    return _result("kept", quality, volume, task, content=content)


def _made(task: Task, content: str, start: float) -> Result:
    checked = prepare_checked(
        read_volume(task.source), task.pipeline, all_the_same=task.keep_failed
    )
    seconds = time.monotonic() - start
    if checked.prepared is None:
        return Result(
            outcome="refused", quality=checked.quality, content=content, seconds=seconds
        )
    refused = checked.quality.verdict == "fail" and not task.keep_failed
    if refused:
        for path in (task.target, sidecar_of(task.target)):
            path.unlink(missing_ok=True)  # of an earlier run with other bytes
    else:
        # The sidecar last: with it the volume counts as made.
        write_volume(task.target, checked.prepared.volume, space="template")
        write_json(
            sidecar_of(task.target),
            record_of(checked, task.pipeline, content=content),
        )
    outcome: Outcome = "refused" if refused else "prepared"
    volume = checked.prepared.volume
    return _result(
        outcome, checked.quality, volume, task, content=content, seconds=seconds
    )


def _result(
    outcome: Outcome,
    quality: Quality,
    volume: Volume,
    task: Task,
    *,
    content: str,
    seconds: float = 0.0,
) -> Result:
    there = reference(task.pipeline.template)
    shown = shown_on(GRID, volume)
    return Result(
        outcome=outcome,
        quality=quality,
        seconds=seconds,
        content=content,
        picture=overlay(shown, there),
        row=row_of(shown),
    )
