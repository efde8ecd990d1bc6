"""What the header of one DICOM file says of its place among others.

Only the elements named here are read. Free text is used to tell a T1-weighted series
from others and goes no further; a patient's name and id are kept to tell people apart
and are never shown.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from vit_dementia.data.dicom.datasets import damage, read_dataset
from vit_dementia.errors import ScanError
from vit_dementia.limits import LIMITS, Limits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
else:
    Dataset = Any  # pydicom is imported where it is used

_TAGS = (
    "Modality", "BodyPartExamined", "ImageType", "PatientID", "PatientName",
    "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription",
    "ProtocolName", "MRAcquisitionType", "ScanningSequence", "EchoTime",
    "RepetitionTime", "InversionTime", "Rows", "Columns", "NumberOfFrames",
    "SamplesPerPixel", "PhotometricInterpretation", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_ABSENT = object()  # an element that is not there, which is not one without a value


@dataclass(frozen=True, eq=False)
class Slice:
    """Where one slice lies, in millimetres towards left, back and head (LPS)."""

    position: Float[np.ndarray, " 3"]
    along_columns: Float[np.ndarray, " 3"]  # the way of a growing column index
    along_rows: Float[np.ndarray, " 3"]
    spacing: tuple[float, float]  # from row to row, from column to column
    slope: float
    intercept: float


@dataclass(frozen=True, kw_only=True)
class Header:
    """One file of a series.

    Attributes:
        person: a hash that tells people apart within a folder, and nothing else.
        patient_id: as the header has it; for pseudonyms only, and never shown.
        words: free text in lower case; for the choice of a series only.
        number: of the series, up to five digits; "?" if there is none.
        slices: none if the header has no geometry.
        why_not: what is wrong with the geometry.
    """

    path: Path
    modality: str
    body_part: str
    image_type: tuple[str, ...]
    person: str
    patient_id: str = field(repr=False)
    study: str
    series: str
    number: str
    words: frozenset[str] = field(repr=False)
    acquisition: str
    sequence: frozenset[str]
    echo_ms: float | None
    repetition_ms: float | None
    inversion_ms: float | None
    rows: int
    columns: int
    samples: int
    inverted: bool
    slices: tuple[Slice, ...]
    why_not: str = ""


def read_header(path: Path, *, limits: Limits = LIMITS) -> Header:
    """Read what one file says of itself; no pixel is decoded.

    Raises:
        ScanError: if it cannot be read, or claims more than the limits.
    """
    dataset = read_dataset(path, _TAGS, pixels=False, limits=limits)
    try:
        return _header(path, dataset, limits)
    except damage() as error:
        raise ScanError(f"{path}: damaged DICOM header") from error


def _header(path: Path, dataset: Dataset, limits: Limits) -> Header:
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if not 1 <= frames <= limits.frames or rows * columns * frames > limits.voxels:
        raise ScanError(
            f"{path}: claims {frames} frames of {rows} x {columns}; at most "
            f"{limits.frames} frames and {limits.voxels} voxels are read"
        )
    patient_id = str(dataset.get("PatientID") or "").strip()
    name = str(dataset.get("PatientName") or "").strip()
    person = hashlib.sha256(f"{patient_id}\0{name}".encode()).hexdigest()
    text = f"{dataset.get('SeriesDescription')} {dataset.get('ProtocolName')}"
    slices: tuple[Slice, ...] = ()
    why_not = ""
    try:
        slices = tuple(_slice(dataset, frame) for frame in range(frames))
    except _GeometryError as error:
        why_not = str(error)
    return Header(
        path=path,
        modality=str(dataset.get("Modality") or ""),
        body_part=str(dataset.get("BodyPartExamined") or "").upper(),
        image_type=tuple(str(part).upper() for part in dataset.get("ImageType") or ()),
        person=person,
        patient_id=patient_id,
        study=str(dataset.get("StudyInstanceUID") or ""),
        series=str(dataset.get("SeriesInstanceUID") or ""),
        number=_shown(dataset.get("SeriesNumber")),
        words=frozenset(re.findall(r"[a-z0-9]+", text.lower())),
        acquisition=str(dataset.get("MRAcquisitionType") or "").upper(),
        sequence=frozenset(_texts(dataset.get("ScanningSequence"))),
        echo_ms=_number(dataset.get("EchoTime")),
        repetition_ms=_number(dataset.get("RepetitionTime")),
        inversion_ms=_number(dataset.get("InversionTime")),
        rows=rows,
        columns=columns,
        samples=int(dataset.get("SamplesPerPixel") or 1),
        inverted=str(dataset.get("PhotometricInterpretation")) == "MONOCHROME1",
        slices=slices,
        why_not=why_not,
    )


class _GeometryError(Exception):
    """Where a slice lies is not told, or not by numbers."""


def _slice(dataset: Dataset, frame: int) -> Slice:
    """Return where a frame lies, told by the file as a whole or frame by frame."""

    def told(group: str, name: str) -> Any:
        if name in dataset:
            return dataset.get(name)
        for sequence, at in (
            ("PerFrameFunctionalGroupsSequence", frame),
            ("SharedFunctionalGroupsSequence", 0),
        ):
            items = dataset.get(sequence) or ()
            inside = items[at].get(group) if at < len(items) else None
            if inside and name in inside[0]:
                return inside[0].get(name)
        return _ABSENT

    position = _numbers(told("PlanePositionSequence", "ImagePositionPatient"), 3)
    way = _numbers(told("PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    spacing = _numbers(told("PixelMeasuresSequence", "PixelSpacing"), 2)
    if position is None or way is None or spacing is None:
        raise _GeometryError(
            "does not tell where its slices lie (position, direction, pixel spacing)"
        )
    if min(spacing) <= 0:
        raise _GeometryError("has a pixel spacing that is no length")
    scale = [
        _scale(told("PixelValueTransformationSequence", f"Rescale{name}"), default)
        for name, default in (("Slope", 1.0), ("Intercept", 0.0))
    ]
    if scale[0] == 0:
        raise _GeometryError("has a rescale slope of 0")
    return Slice(
        position=np.array(position),
        along_columns=np.array(way[:3]),
        along_rows=np.array(way[3:]),
        spacing=(spacing[0], spacing[1]),
        slope=scale[0],
        intercept=scale[1],
    )


def _scale(value: Any, default: float) -> float:
    """Return a rescale number; one that is there must be a number."""
    if value is _ABSENT:
        return default
    number = _number(value)
    if number is None:
        raise _GeometryError("has a rescale slope or intercept that is no number")
    return number


def _numbers(values: Any, count: int) -> list[float] | None:
    if values is None or values is _ABSENT or isinstance(values, str | bytes):
        return None
    if len(values) != count:
        return None
    found = [_number(value) for value in values]
    return [one for one in found if one is not None] if None not in found else None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _shown(number: Any) -> str:
    """Return the number of a series; whatever else stands there may be a person.

    >>> _shown(301), _shown("Doe, Jane"), _shown("815081508150")
    ('301', '?', '?')
    """
    told = str(number or "").strip()
    return told if re.fullmatch(r"[0-9]{1,5}", told, re.ASCII) else "?"


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(one) for one in value]
