"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

# A busy machine is slow, and that is no defect.
settings.register_profile("unhurried", deadline=None, max_examples=30)
settings.load_profile("unhurried")

REPO_ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real scans beside the repository, or skip."""
    folder = REPO_ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real scans are not on this machine")
    return folder


@pytest.fixture
def in_float32(monkeypatch) -> None:
    """Compute as a processor without bfloat16, where digits are compared."""
    from vit_dementia.inference import compute

    monkeypatch.setattr(compute, "computes_in_bf16", lambda _: False)


@pytest.fixture
def write_series() -> Callable[..., list[Path]]:
    """Return a function that writes voxels (x y z in RAS+, 2 mm) as a DICOM series.

    Elements are changed by keyword; a function of the slice's number may stand for one.
    """
    return _write_series


def _write_series(
    folder: Path,
    voxels: np.ndarray,
    *,
    series: str = "1",
    name_of: Callable[[int], str] = lambda number: f"{number:03}.dcm",
    **elements: Any,
) -> list[Path]:
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number in range(voxels.shape[2]):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.MediaStorageSOPInstanceUID = f"1.2.3.{series}.{number + 1}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset: Dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
        # Rows of the picture go to the back, columns to the person's left (LPS).
        plane = voxels[::-1, ::-1, number].T
        last = np.array(voxels.shape[:2]) - 1
        facts = {
            "SOPClassUID": MRImageStorage,
            "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
            "Modality": "MR", "BodyPartExamined": "HEAD", "Manufacturer": "none",
            "PatientID": "P-0815", "PatientName": "Doe^Jane",
            "PatientBirthDate": "19500102", "StudyInstanceUID": "1.2.3",
            "SeriesInstanceUID": f"1.2.3.{series}", "SeriesNumber": series,
            "InstanceNumber": str(number + 1), "MRAcquisitionType": "3D",
            "SeriesDescription": "t1_mprage_sag Jane Doe", "ScanningSequence": "GR",
            "EchoTime": "3", "RepetitionTime": "2300", "InversionTime": "900",
            "Rows": plane.shape[0], "Columns": plane.shape[1], "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16,
            "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0,
            "ImagePositionPatient": [-2 * last[0], -2 * last[1], 2 * number],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "PixelSpacing": [2, 2], "SliceThickness": "2",
            "PixelData": plane.astype("<u2").tobytes(),
        }  # fmt: skip
        for name, value in (facts | elements).items():
            given = value(number) if callable(value) else value
            if given is not None:
                setattr(dataset, name, given)
        path = folder / name_of(number)
        dataset.save_as(path, enforce_file_format=True)
        written.append(path)
    return written
