"""The voxels of one NIfTI file, whichever of its many forms it has.

The header is read first and believed in nothing that costs memory: what it claims is
held against the limits before voxels are read, a gzip stream is read to its end so that
its checksum is tried, and never further than the header says. Texts and extensions of
the header are not read at all. (NIfTI-1 and NIfTI-2: nifti.nimh.nih.gov.)

Letters: ``x``, ``y``, ``z`` voxels, in the order of the file.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float32

from vit_dementia.data.opening import Deadline, opened
from vit_dementia.data.placement import place
from vit_dementia.errors import ScanError
from vit_dementia.limits import LIMITS, Limits

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header
else:
    Nifti1Header = Any  # nibabel is imported where it is used

NIFTI_SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz")

_NEEDED = "a NIfTI file"
_SIZE_OF = {348: 1, 540: 2}  # bytes of a header, by version
_MAGIC_AT = {1: 344, 2: 4}
_SINGLE = {1: b"n+1\0", 2: b"n+2\0"}  # voxels follow in the same file
_PAIR = {1: b"ni1\0", 2: b"ni2\0"}  # voxels are in a file of their own


@dataclass(frozen=True, eq=False)
class Stored:
    """Voxels as they lie in a file, with where they are.

    Attributes:
        voxels: in the scanner's unit, scaled as the header says.
        affine: from voxel indices to millimetres (right, anterior, superior).
        notes: what was found wrong and mended, or cannot be known.
    """

    voxels: Float32[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]
    notes: tuple[str, ...]


def is_nifti_name(name: str) -> bool:
    """Say whether a file's name is that of a volume; of a pair, of its header.

    >>> [is_nifti_name(n) for n in ("a.nii", "a.NII.GZ", "a.hdr", "a.img", "a.png")]
    [True, True, True, False, False]
    """
    return name.lower().endswith((".nii", ".nii.gz", ".hdr", ".hdr.gz"))


def read_nifti(path: Path, *, limits: Limits = LIMITS) -> Stored:
    """Return what one file, or one pair of header and voxels, holds.

    Raises:
        ScanError: if it is damaged, too large, or does not hold one 3-D image.
    """
    try:
        with _unpacked(_header_file(path), limits) as stream:
            header, pair = _read_header(path, stream)
            shape, dtype = _check_claims(path, header, limits)
            size = prod(shape) * dtype.itemsize
            if not pair:
                start = _offset(path, header, limits)
                _pass_by(path, stream, start - header.sizeof_hdr)
                content = _read_to_the_end(path, stream, size, limits)
        if pair:
            voxel_file = _voxel_file(path)
            with _unpacked(voxel_file, limits) as stream:
                _pass_by(voxel_file, stream, _offset(path, header, limits, least=0))
                content = _read_to_the_end(voxel_file, stream, size, limits)
    except (OSError, EOFError, zlib.error) as error:
        cause = " ".join(str(error).split())
        raise ScanError(f"{path}: damaged or cut off ({cause})") from error
    raw = np.frombuffer(content, dtype=dtype).reshape(shape, order="F")
    affine, notes = place(path, header, limits=limits)
    return Stored(_scaled(path, header, raw), affine, tuple(notes))


def _header_file(path: Path) -> Path:
    """Return the file of a pair that holds the header; any other file is its own."""
    return _sibling(path, ".img", ".hdr")


def _voxel_file(path: Path) -> Path:
    return _sibling(path, ".hdr", ".img")


def _sibling(path: Path, here: str, there: str) -> Path:
    name = path.name
    for ending in (here, here + ".gz"):
        if name.lower().endswith(ending):
            stem = name[: -len(ending)]
            wanted = there.upper() if name[len(stem) + 1].isupper() else there
            for other in (wanted, wanted + ".gz"):
                if path.with_name(stem + other).is_file():
                    return path.with_name(stem + other)
            raise ScanError(
                f"{path}: is one half of a pair; the {wanted} file of the same name is "
                "needed beside it"
            )
    return path


@contextmanager
def _unpacked(path: Path, limits: Limits) -> Iterator[BufferedIOBase]:
    """Open a file and, if its first bytes say so, the gzip stream inside."""
    until = Deadline(path, seconds=limits.decoding_seconds)
    most = limits.volume_bytes
    with opened(path, most_bytes=most, needed=_NEEDED, deadline=until) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if packed:
            with gzip.GzipFile(fileobj=file) as stream:
                yield stream
        else:
            yield file


def _read_header(path: Path, stream: BufferedIOBase) -> tuple[Nifti1Header, bool]:
    """Return the header and whether the voxels are in another file."""
    from nibabel.nifti1 import Nifti1Header as Header1
    from nibabel.nifti2 import Nifti2Header as Header2

    head = stream.read(4)
    version, order = 0, "<"
    for order in "<>":
        if len(head) == 4:
            version = _SIZE_OF.get(struct.unpack(f"{order}i", head)[0], 0)
        if version:
            break
    if not version:
        raise ScanError(f"{path}: found other bytes than a NIfTI header begins with")
    header_class: Any = {1: Header1, 2: Header2}[version]
    head += stream.read(header_class.sizeof_hdr - 4)
    if len(head) < header_class.sizeof_hdr:
        raise ScanError(f"{path}: cut off within its header")
    magic = head[_MAGIC_AT[version] :][:4]
    if magic not in (_SINGLE[version], _PAIR[version]):
        raise ScanError(f"{path}: found no NIfTI mark (magic {magic!r})")
    header = header_class(head, endianness=order, check=False)
    return header, magic == _PAIR[version]


def _check_claims(
    path: Path, header: Nifti1Header, limits: Limits
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of the voxels, or refuse them before any is read."""
    from nibabel.spatialimages import HeaderDataError

    dim = [int(side) for side in header["dim"]]
    if not 1 <= dim[0] <= 7:
        raise ScanError(f"{path}: claims {dim[0]} axes; needs three")
    sides = tuple(dim[1 : dim[0] + 1])
    shown = " x ".join(map(str, sides))
    if min(sides) < 1:
        raise ScanError(f"{path}: claims the shape {shown}; needs sides of 1 or more")
    if len(sides) < 3 or prod(sides[3:]) != 1:
        raise ScanError(f"{path}: found the shape {shown}; needs one 3-D volume")
    if min(sides[:3]) < limits.least_side:
        raise ScanError(
            f"{path}: found the shape {shown}; needs {limits.least_side} voxels or "
            "more along each axis"
        )
    if prod(sides[:3]) > limits.voxels:
        raise ScanError(
            f"{path}: claims the shape {shown}; at most {limits.voxels} voxels are read"
        )
    try:
        dtype = header.get_data_dtype()
    except (HeaderDataError, KeyError):
        code = int(header["datatype"])
        raise ScanError(f"{path}: found voxels of unknown type {code}") from None
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        name = "color" if dtype.names else str(dtype)
        raise ScanError(f"{path}: found voxels of type {name}; needs one real number")
    return sides[:3], dtype


def _offset(
    path: Path, header: Nifti1Header, limits: Limits, *, least: int | None = None
) -> int:
    """Return where in its file the first voxel begins."""
    told = float(header["vox_offset"])
    first = header.sizeof_hdr if least is None else least
    if not told:
        return first + (4 if least is None else 0)
    if not first <= told <= limits.offset_bytes or told != int(told):
        raise ScanError(
            f"{path}: claims that its voxels begin at byte {told:g}; needs "
            f"{first} to {limits.offset_bytes}"
        )
    return int(told)


def _pass_by(path: Path, stream: BufferedIOBase, count: int) -> None:
    """Read bytes of no use, such as a header's extensions, and forget them."""
    if len(stream.read(count)) < count:
        raise ScanError(f"{path}: cut off before its voxels")


def _read_to_the_end(
    path: Path, stream: BufferedIOBase, size: int, limits: Limits
) -> bytes:
    """Return so many bytes; the rest, which may be little, is read for its checksum."""
    content = stream.read(size)
    if len(content) < size:
        raise ScanError(
            f"{path}: cut off: found {len(content)} of {size} bytes of voxels"
        )
    if len(stream.read(limits.trailing_bytes + 1)) > limits.trailing_bytes:
        raise ScanError(
            f"{path}: holds far more than the {size} bytes of voxels that its header "
            "tells of"
        )
    return content


def _scaled(path: Path, header: Nifti1Header, raw: np.ndarray) -> np.ndarray:
    """Return the voxels in the unit that slope and intercept lead to."""
    slope, intercept = (float(header[f"scl_{name}"]) for name in ("slope", "inter"))
    with np.errstate(over="ignore", invalid="ignore"):
        voxels = raw.astype(np.float32)
        if slope == 0 or np.isnan(slope):  # NIfTI: nothing is scaled then
            return voxels
        if not np.isfinite([slope, intercept]).all():
            raise ScanError(
                f"{path}: claims the scale {slope:g} and the intercept {intercept:g}; "
                "needs finite numbers"
            )
        if (slope, intercept) != (1.0, 0.0):
            voxels *= np.float32(slope)
            voxels += np.float32(intercept)
    return voxels
