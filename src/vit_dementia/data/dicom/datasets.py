"""The elements of one DICOM file, of which none claims more than there is."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vit_dementia.data.opening import Deadline, TimedBytes, opened
from vit_dementia.errors import ScanError
from vit_dementia.limits import LIMITS, Limits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
else:
    Dataset = Any  # pydicom is imported where it is used

NEEDED = "a DICOM file"
_DAMAGED = (
    OSError, EOFError, ValueError, TypeError, LookupError, AttributeError,
    ArithmeticError, RuntimeError, MemoryError,
    struct.error, zlib.error, Warning,
)  # fmt: skip

_MARK = b"DICM"  # after a preamble of 128 bytes
_DEFLATED = "1.2.840.10008.1.2.1.99"


def damage() -> tuple[type[Exception], ...]:
    """Return what pydicom raises on bytes that are not what they claim to be."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (*_DAMAGED, BytesLengthException, InvalidDicomError)


def is_dicom(path: Path) -> bool:
    """Say whether a file bears the mark of DICOM, whatever its name."""
    try:
        with opened(path, most_bytes=LIMITS.volume_bytes, needed=NEEDED) as file:
            return file.read(132)[128:] == _MARK
    except ScanError:
        return False


def why_no_dicom(path: Path) -> str:
    """Say why a file is not DICOM: it cannot be opened, is empty, or has no mark."""
    try:
        with opened(path, most_bytes=LIMITS.volume_bytes, needed=NEEDED) as file:
            is_marked = file.read(132)[128:] == _MARK
    except ScanError as error:
        return str(error)
    return "" if is_marked else f"{path}: found no DICOM mark"


def read_dataset(
    path: Path,
    tags: tuple[str, ...],
    *,
    pixels: bool,
    limits: Limits = LIMITS,
    deadline: Deadline | None = None,
) -> Dataset:
    """Read some elements of one file.

    Args:
        path: of the file.
        tags: keywords of what is read.
        pixels: also read what lies behind the beginning of the pixels.
        limits: what it may cost.
        deadline: until which it is read [default: that of a scan, from now].

    Raises:
        ScanError: if it is no DICOM file, damaged, or unpacks to too much.
    """
    import pydicom

    # Its warnings and its log would tell what stands in a header.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.logger.setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
    until = deadline or Deadline(path, seconds=limits.decoding_seconds)
    most = limits.volume_bytes
    try:
        with opened(path, most_bytes=most, needed=NEEDED, deadline=until) as file:
            if file.read(132)[128:] != _MARK:
                raise ScanError(f"{path}: found no DICOM mark; needs a DICOM file")
            inflated = _inflated(path, file, limits)
            whole = file if inflated is None else TimedBytes(inflated, until)
            return pydicom.dcmread(
                _Claimed(path, whole),
                stop_before_pixels=not pixels,
                specific_tags=list(tags),
            )
    except damage() as error:
        raise ScanError(f"{path}: damaged or cut off DICOM file") from error


class _Claimed:
    """A file that is refused where an element claims more bytes than follow.

    pydicom would take memory for all that is claimed, or pass it by and end there as if
    the file did.
    """

    _BLOCK = 2**16  # bytes that pydicom asks for without any element claiming them

    def __init__(self, path: Path, file: Any) -> None:
        self.name = path.name
        self._path, self._file = path, file
        self._size = file.seek(0, 2)
        file.seek(0)

    def read(self, count: int = -1) -> bytes:
        if count > self._BLOCK and count > self._size - self._file.tell():
            self._refuse()
        return bytes(self._file.read(count))

    def seek(self, place: int, whence: int = 0) -> int:
        base = (0, self._file.tell(), self._size)[whence]
        if base + place > self._size:
            self._refuse()
        return int(self._file.seek(base + place))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()

    def _refuse(self) -> NoReturn:
        raise ScanError(
            f"{self._path}: an element claims more bytes than the file has; damaged or "
            "cut off DICOM file"
        )


def _inflated(path: Path, file: Any, limits: Limits) -> bytes | None:
    """Return a deflated file as it was before, or refuse what unpacks to too much.

    None: the file is not deflated. pydicom would unpack it whole, however much that is.
    """
    # By the length that a file tells of its first group, pydicom does not go; so where
    # the packed part begins is asked of pydicom's own reading.
    from pydicom.filebase import DicomBytesIO
    from pydicom.filereader import _read_file_meta_info
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import ExplicitVRLittleEndian

    file.seek(132)
    meta = _read_file_meta_info(file)
    if str(meta.get("TransferSyntaxUID", "")) != _DEFLATED:
        return None
    packed = file.read()
    most = min(limits.volume_bytes, max(limits.ratio * len(packed), limits.few_bytes))
    unpacker, total, left = zlib.decompressobj(-zlib.MAX_WBITS), 0, packed
    while left and not unpacker.eof:
        total += len(unpacker.decompress(left, limits.trailing_bytes))
        left = unpacker.unconsumed_tail
        if total > most:
            raise ScanError(f"{path}: unpacks to more than {most} bytes; a bomb")
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    content = unpacker.decompress(packed)
    if not unpacker.eof:
        raise ScanError(f"{path}: cut off within what was deflated")
    whole = DicomBytesIO()
    whole.write(bytes(128) + _MARK)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    write_file_meta_info(whole, meta, enforce_standard=False)
    whole.write(content)
    return bytes(whole.getvalue())
