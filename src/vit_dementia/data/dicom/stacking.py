"""Slices put together by where they lie, and never by their numbers or names.

Letters: ``x``, ``y``, ``z`` columns, rows and slices.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from vit_dementia.data.dicom.choosing import Series
from vit_dementia.data.dicom.headers import Slice
from vit_dementia.data.dicom.pixels import read_frames
from vit_dementia.data.nifti import Stored
from vit_dementia.data.opening import Deadline
from vit_dementia.data.placement import check_affine
from vit_dementia.errors import ScanError
from vit_dementia.limits import LIMITS, Limits

_SAME_WAY = 1e-3  # of the cosines of two slices' directions
_SAME_SIZE = 1e-3  # relative difference of pixel spacings
_SAME_PLACE = 0.05  # of the distance of neighbors: such slices lie in one place
_UNEVEN = 0.2  # of the distance of neighbors: beyond it a slice is missing
_ASIDE = 0.1  # of the distance of neighbors: how far slices may lie off their line
_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def check_series(where: Path, series: Series) -> list[int]:
    """Return the order of the slices along their normal, if they make one volume.

    Raises:
        ScanError: with the first of: several people, other sizes, no geometry, other
            directions, repeated or missing slices.
    """
    headers = series.headers
    if len({header.person for header in headers}) > 1:
        raise ScanError(f"{where}: holds slices of several people under one series")
    sizes = {(header.rows, header.columns) for header in headers}
    if len(sizes) > 1:
        shown = ", ".join(f"{h} x {w}" for h, w in sorted(sizes))
        raise ScanError(f"{where}: holds slices of several sizes ({shown})")
    for header in headers:
        if header.why_not:
            raise ScanError(f"{header.path}: its header {header.why_not}; needs it")
    slices = [one for header in headers for one in header.slices]
    if len(slices) < 2:
        raise ScanError(f"{where}: holds {len(slices)} slice; needs a whole volume")
    first = slices[0]
    for one in slices:
        ways = np.abs(_ways(one) - _ways(first)).max()
        sides = np.abs(np.array(one.spacing) / np.array(first.spacing) - 1).max()
        if ways > _SAME_WAY or sides > _SAME_SIZE:
            raise ScanError(
                f"{where}: its slices lie in several directions or have several pixel "
                "sizes (a localizer?); needs one volume"
            )
    if np.linalg.norm(_normal(first)) < 0.5:
        raise ScanError(f"{where}: the directions of its slices do not span a plane")
    depth = np.array([one.position @ _normal(first) for one in slices])
    order = np.argsort(depth, kind="stable")
    _check_even(where, depth[order])
    return [int(place) for place in order]


def stack(where: Path, series: Series, *, limits: Limits = LIMITS) -> Stored:
    """Read every slice of a series and put them together.

    Raises:
        ScanError: as `check_series`, or if pixels cannot be read.
    """
    order = check_series(where, series)
    first = series.first
    if first.rows * first.columns * len(order) > limits.voxels:
        raise ScanError(f"{where}: more than the {limits.voxels} voxels that are read")
    until = Deadline(where, seconds=limits.decoding_seconds)
    frames = np.concatenate(
        [read_frames(one, limits=limits, deadline=until) for one in series.headers]
    )
    slices = [one for header in series.headers for one in header.slices]
    in_order = [slices[place] for place in order]
    return Stored(
        frames[order].transpose(2, 1, 0), _affine(where, in_order, limits), ()
    )


def _affine(
    where: Path, slices: list[Slice], limits: Limits
) -> Float[np.ndarray, "4 4"]:
    """Return the affine from column, row and slice to millimetres (RAS+)."""
    first, last = slices[0], slices[-1]
    step = (last.position - first.position) / (len(slices) - 1)
    straight = first.position + np.arange(len(slices))[:, None] * step
    aside = np.abs(np.array([one.position for one in slices]) - straight).max()
    if aside > _ASIDE * np.linalg.norm(step):
        raise ScanError(f"{where}: its slices do not lie one behind the other")
    affine = np.eye(4)
    affine[:3, 0] = first.along_columns * first.spacing[1]
    affine[:3, 1] = first.along_rows * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    affine[:3] = _TO_RAS @ affine[:3]
    check_affine(where, affine, limits=limits)
    return affine


def _check_even(where: Path, depth: Float[np.ndarray, " z"]) -> None:
    """Refuse repeated and missing slices."""
    gaps = np.diff(depth)
    usual = float(np.median(gaps))
    same = int((gaps <= _SAME_PLACE * usual).sum()) if usual > 0 else len(gaps)
    if same:
        raise ScanError(
            f"{where}: {same} slices lie where another one does; needs each place once "
            "(two series in one, or several volumes?)"
        )
    if np.abs(gaps - usual).max() > _UNEVEN * usual:
        missing = int(np.rint(gaps / usual - 1).clip(0).sum())
        raise ScanError(
            f"{where}: its slices are unevenly spaced, about {missing} missing; needs "
            "the whole series"
        )


def _ways(one: Slice) -> Float[np.ndarray, " 6"]:
    return np.concatenate([one.along_columns, one.along_rows])


def _normal(one: Slice) -> Float[np.ndarray, " 3"]:
    return np.cross(one.along_columns, one.along_rows)
