"""Volumes from disk, their axes turned to right, anterior, superior (RAS+).

Letters: ``x``, ``y``, ``z`` voxels from left to right, from back to front, from foot to
head.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32

from vit_dementia import files
from vit_dementia.data.dicom import is_dicom, read_dicom
from vit_dementia.data.nifti import Stored, read_nifti
from vit_dementia.errors import ScanError
from vit_dementia.limits import LIMITS, Limits

_SPACE_CODE = {"scanner": 1, "template": 4}  # NIfTI's xform codes


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan as voxels, and where in millimetres they lie.

    Attributes:
        voxels: axes along the affine's, turned to RAS+; finite.
        affine: from voxel indices to millimetres.
        notes: what was found wrong and mended, or cannot be known, in words.
        codes: where the three axes of the file led, before they were turned.
    """

    voxels: Float32[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]
    notes: tuple[str, ...] = ()
    codes: tuple[str, str, str] = ("R", "A", "S")

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Return the sides of a voxel.

        >>> Volume(np.zeros((2, 2, 2), np.float32), np.diag([1, 2, 3, 1.0])).spacing_mm
        (1.0, 2.0, 3.0)
        """
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return x, y, z


def read_volume(path: Path, *, limits: Limits = LIMITS) -> Volume:
    """Read one 3-D NIfTI image, or one DICOM series, its axes turned to RAS+.

    A folder, or a file, of DICOM means its series, see ``data.dicom``. Voxels that are
    not finite become 0 and are counted in the notes. A volume of one value is returned:
    a mask may be empty.

    Raises:
        ScanError: if the file cannot be read whole or does not hold one 3-D volume.
    """
    if path.is_dir() or is_dicom(path):
        return turned(path, read_dicom(path, limits=limits))
    return turned(path, read_nifti(path, limits=limits))


def as_stored(volume: Volume) -> Volume:
    """Return what to write for the axes to lie as in the file that was read.

    >>> axes = np.diag([-1.0, 1, 1, 1])
    >>> scan = Stored(np.zeros((2, 3, 4), np.float32), axes, ())
    >>> bool(np.all(as_stored(turned(Path("scan.nii"), scan)).affine == axes))
    True
    """
    from nibabel.orientations import (
        apply_orientation,
        axcodes2ornt,
        inv_ornt_aff,
        ornt_transform,
    )

    way = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(volume.codes))
    affine = volume.affine @ inv_ornt_aff(way, volume.voxels.shape)
    voxels = np.ascontiguousarray(apply_orientation(volume.voxels, way))
    return replace(volume, voxels=voxels, affine=affine)


def write_volume(
    path: Path, volume: Volume, *, space: Literal["scanner", "template"] = "scanner"
) -> None:
    """Write ``.nii.gz`` or ``.nii``; the same volume gives the same bytes anywhere.

    Args:
        path: whose name says whether to pack.
        volume: its notes are not written.
        space: whose millimetres the affine leads to.
    """
    import nibabel as nib

    if not path.name.endswith((".nii", ".nii.gz")):
        raise ValueError(
            f"path: found {path.name}; a name in .nii or .nii.gz is needed"
        )
    image = nib.Nifti1Image(volume.voxels, volume.affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(volume.affine, code=_SPACE_CODE[space])
    image.set_qform(volume.affine, code=_SPACE_CODE[space])
    content = image.to_bytes()
    if path.name.endswith(".gz"):
        content = gzip.compress(content, compresslevel=6, mtime=0)
    files.write_bytes(path, content)


def turned(path: Path, stored: Stored) -> Volume:
    """Return the volume of what was stored: axes flipped and swapped, none resampled.

    Raises:
        ScanError: if no voxel is a finite number, or one is too large to compute with.
    """
    from nibabel.orientations import (
        apply_orientation,
        inv_ornt_aff,
        io_orientation,
        ornt2axcodes,
    )

    way = io_orientation(stored.affine)
    affine = stored.affine @ inv_ornt_aff(way, stored.voxels.shape)
    voxels = np.ascontiguousarray(apply_orientation(stored.voxels, way))
    finite = np.isfinite(voxels)
    notes = stored.notes
    if num := int(finite.size - finite.sum()):
        if num == finite.size:
            raise ScanError(f"{path}: holds no voxel that is a finite number")
        voxels[~finite] = 0
        notes = (*notes, f"{num} voxels are not finite numbers and were read as 0")
    if (most := float(np.abs(voxels).max())) > LIMITS.most_value:
        raise ScanError(
            f"{path}: holds voxels of up to {most:.1g}, which no scanner measures; "
            f"needs values below {LIMITS.most_value:.0e}"
        )
    return Volume(voxels, affine, notes, ornt2axcodes(way))
