"""One volume of what DICOM files hold: by dcm2niix where it is installed, else by us.

Both ways give the same voxels; what is chosen and refused is decided before, in one
place. dcm2niix (Li et al. 2016, doi 10.1016/j.jneumeth.2016.03.001) knows more of what
scanners write.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from vit_dementia.data.dicom.choosing import Series, choose, series_in, why_not_a_head
from vit_dementia.data.dicom.datasets import is_dicom, why_no_dicom
from vit_dementia.data.dicom.headers import Header, read_header
from vit_dementia.data.dicom.stacking import check_series, stack
from vit_dementia.data.folders import is_clutter
from vit_dementia.data.nifti import Stored, read_nifti
from vit_dementia.errors import ScanError
from vit_dementia.limits import LIMITS, Limits


def converter() -> str | None:
    """Return the program dcm2niix: of the Python package, or of the system."""
    if find_spec("dcm2niix") is not None:
        return str(import_module("dcm2niix").bin)
    return shutil.which("dcm2niix")


def read_dicom(path: Path, *, limits: Limits = LIMITS, convert: bool = True) -> Stored:
    """Return the volume of a folder's 3-D T1-weighted series, or of a file's series.

    Args:
        path: a folder with files of one person, at any depth; or one file, whose series
            is read whatever its header says of weighting.
        limits: what it may cost.
        convert: by dcm2niix if it is there; without it the reading is our own.

    Raises:
        ScanError: if there is no such series or more than one, or if it is no whole
            volume of one person's head.
    """
    series, note = find_series(path, limits=limits)
    check_series(path, series)
    notes = [note] if note else []
    stored = None
    if convert and (program := converter()) is not None:
        stored, failed = _converted(program, path, series, limits)
        notes += [failed] if failed else []
    if stored is None:
        stored = stack(path, series, limits=limits)
    return Stored(stored.voxels, stored.affine, (*notes, *stored.notes))


def find_series(path: Path, *, limits: Limits = LIMITS) -> tuple[Series, str]:
    """Return the series that a path means, and a note if there was a choice.

    Raises:
        ScanError: as `read_dicom`, as far as headers tell.
    """
    if path.is_dir():
        headers = headers_below(path, limits=limits)
        if len({header.person for header in headers}) > 1:
            raise ScanError(f"{path}: holds scans of several people; name one's folder")
        if len({header.study for header in headers}) > 1:
            raise ScanError(f"{path}: holds several studies; name a folder of one")
        return choose(path, series_in(headers))
    own = read_header(path, limits=limits)
    if len(own.slices) > 1:
        series = Series((own,))
    else:
        beside = [f for f in sorted(path.parent.iterdir()) if is_dicom(f)]
        refuse_lost(path.parent, set(beside))
        headers = [read_header(file, limits=limits) for file in beside]
        same = [header for header in headers if header.series == own.series]
        series = Series(tuple(same))
    if reason := why_not_a_head(series):
        raise ScanError(f"{path}: {reason}; needs an MR scan of a head")
    return series, ""


def headers_below(folder: Path, *, limits: Limits = LIMITS) -> list[Header]:
    """Read the header of every DICOM file in a folder and below it.

    Raises:
        ScanError: if there is none, or one is damaged.
    """
    headers = []
    for number, file in enumerate(sorted(folder.rglob("*"))):
        if number > limits.entries:
            raise ScanError(f"{folder}: holds more than {limits.entries} files")
        if file.is_file() and file.name != "DICOMDIR" and is_dicom(file):
            headers.append(read_header(file, limits=limits))
    if not headers:
        raise ScanError(f"{folder}: holds no DICOM file; needs a scan")
    for beside in sorted({header.path.parent for header in headers}):
        refuse_lost(beside, {header.path for header in headers})
    return headers


def refuse_lost(folder: Path, known: set[Path]) -> None:
    """Refuse a file that is named as those of a series and is none that can be read.

    It may be a slice, and a volume without its last one looks whole.

    Args:
        folder: whose files are looked at.
        known: files of DICOM, in this folder and elsewhere.

    Raises:
        ScanError: with the first such file.
    """
    kinds = {_kind(file) for file in known if file.parent == folder}
    for file in sorted(folder.iterdir()):
        if file in known or is_clutter(file.name) or not file.is_file():
            continue
        kind = _kind(file)
        if kind not in kinds or not (why := why_no_dicom(file)):
            continue
        # A text without an ending may lie beside slices that have none.
        if kind or not why.endswith("no DICOM mark"):
            raise ScanError(
                f"{why}; it is named as the slices beside it are: mend or remove it"
            )


def _kind(file: Path) -> str:
    """Return the ending of a file's name; none if that is a number, as of a UID."""
    return file.suffix.lower() if file.suffix[1:].isalpha() else ""


def _converted(
    program: str, path: Path, series: Series, limits: Limits
) -> tuple[Stored | None, str]:
    """Return what dcm2niix makes of a series, or why that is not used."""
    if series.first.inverted:
        return None, ""  # it leaves MONOCHROME1 as it is stored
    with TemporaryDirectory() as made:
        inside, out = Path(made, "in"), Path(made, "out")
        inside.mkdir()
        out.mkdir()
        for number, header in enumerate(series.headers):
            link = inside / f"{number:05}.dcm"
            try:
                link.symlink_to(header.path.resolve())
            except OSError:  # no links on this system
                shutil.copyfile(header.path, link)
        how = ("-b", "n", "-z", "n", "-f", "volume")
        command = [program, *how, "-o", str(out), str(inside)]
        try:
            subprocess.run(  # noqa: S603  # the program that shutil.which found
                command, check=True, capture_output=True,
                timeout=limits.converter_seconds,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return None, "dcm2niix failed; read without it"
        volumes = sorted(out.glob("*.nii"))
        if len(volumes) != 1:
            return None, f"dcm2niix made {len(volumes)} volumes; read without it"
        try:
            stored = read_nifti(volumes[0], limits=limits)
        except ScanError as error:
            raise ScanError(
                f"{path}: what dcm2niix made of it cannot be read"
            ) from error
        first = series.first
        sides = (first.columns, first.rows, series.num_slices)
        if sorted(stored.voxels.shape) != sorted(sides):
            return None, "dcm2niix made a volume of another size; read without it"
        return stored, ""
