"""Where the voxels of a NIfTI file lie, as far as its header can be believed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from vit_dementia.errors import ScanError
from vit_dementia.limits import LIMITS, Limits

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header
else:
    Nifti1Header = Any  # nibabel is imported where it is used

_MM_OF_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}  # metre, millimetre, micrometre
_FLATTEST = 0.05  # volume of a voxel as a share of the box with its sides


def place(
    path: Path, header: Nifti1Header, *, limits: Limits = LIMITS
) -> tuple[Float[np.ndarray, "4 4"], list[str]]:
    """Return the affine in millimetres, and what is uncertain about it.

    Raises:
        ScanError: if no scanner can have meant it.
    """
    from nibabel.orientations import aff2axcodes
    from nibabel.spatialimages import HeaderDataError

    notes = []
    sform, has_sform = header.get_sform(coded=True)
    try:
        qform, has_qform = header.get_qform(coded=True)
    except (HeaderDataError, ValueError) as error:
        if not has_sform:
            cause = " ".join(str(error).split())
            raise ScanError(
                f"{path}: its orientation cannot be read ({cause})"
            ) from error
        qform, has_qform = None, 0
    if has_sform:
        affine = sform
    elif has_qform:
        affine = qform
    else:
        affine = header.get_base_affine()
        notes.append("says nowhere how it is oriented: left and right are unknown")
    unit = int(header["xyzt_units"]) & 7
    affine = np.array(affine, dtype=np.float64)
    affine[:3] *= _MM_OF_UNIT.get(unit, 1.0)
    check_affine(path, affine, limits=limits)
    if has_sform and has_qform and np.isfinite(qform).all():
        axes = ["".join(map(str, aff2axcodes(form))) for form in (sform, qform)]
        if axes[0] != axes[1]:
            notes.append(
                f"its two orientations differ (sform {axes[0]}, qform {axes[1]}): the "
                "sform was believed; left and right are uncertain"
            )
    return affine, notes


def check_affine(
    path: Path, affine: Float[np.ndarray, "4 4"], *, limits: Limits = LIMITS
) -> None:
    """Refuse an affine (to millimetres, RAS+) that no scanner can have meant.

    Raises:
        ScanError: if it is not finite, flat, or of voxels of another unit.
    """
    if not np.isfinite(affine).all():
        raise ScanError(f"{path}: its affine holds numbers that are not finite")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = limits.least_spacing_mm, limits.most_spacing_mm
    if spacing.min() < low or spacing.max() > high:
        sides = " x ".join(f"{side:.4g}" for side in spacing)
        raise ScanError(
            f"{path}: found voxels of {sides} mm; needs {low:g} to {high:g} mm "
            "(is the unit millimetres?)"
        )
    if abs(np.linalg.det(affine[:3, :3])) < _FLATTEST * spacing.prod():
        raise ScanError(
            f"{path}: the axes of its affine do not span a room; needs three"
        )
