"""DICOM: series found in folders, one chosen, put together as one volume.

Nothing that identifies a person leaves this package: of the headers only what geometry
and the choice of a series need is read, and a patient's id becomes a salted hash.
"""

from __future__ import annotations

from vit_dementia.data.dicom.datasets import is_dicom
from vit_dementia.data.dicom.reading import converter, read_dicom
from vit_dementia.data.dicom.studies import (
    dicom_scans,
    holds_dicom,
    identity_in,
    identity_of,
    pseudonym_of,
)

__all__ = [
    "converter",
    "dicom_scans",
    "holds_dicom",
    "identity_in",
    "identity_of",
    "is_dicom",
    "pseudonym_of",
    "read_dicom",
]
