"""The pixels of one DICOM file, in the scanner's unit and bright where it was bright.

Letters: ``f`` frames, ``h``, ``w`` rows and columns.
"""

from __future__ import annotations

from io import BytesIO
from math import prod
from typing import Any

import numpy as np
from jaxtyping import Float32

from vit_dementia.data.dicom.datasets import damage, read_dataset
from vit_dementia.data.dicom.headers import Header
from vit_dementia.data.jpeg import num_scans
from vit_dementia.data.opening import Deadline
from vit_dementia.errors import ScanError
from vit_dementia.limits import LIMITS, Limits

_TAGS = (
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PlanarConfiguration", "PixelData", "FloatPixelData", "DoubleFloatPixelData",
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
)  # fmt: skip


def read_frames(
    header: Header, *, limits: Limits = LIMITS, deadline: Deadline | None = None
) -> Float32[np.ndarray, "f h w"]:
    """Decode every frame of a file, rescaled; MONOCHROME1 is turned bright side up.

    Args:
        header: of the file.
        limits: what it may cost.
        deadline: looked at before each frame [default: that of a scan, from now].

    Raises:
        ScanError: if they are damaged, missing, or packed in a way that no installed
            package can undo.
    """
    path = header.path
    until = deadline or Deadline(path, seconds=limits.decoding_seconds)
    dataset = read_dataset(path, _TAGS, pixels=True, limits=limits, deadline=until)
    shape = (max(1, len(header.slices)), header.rows, header.columns)
    try:
        _check_decoder(header, dataset)
        _check_packed(header, dataset, limits)
        from pydicom.pixels.utils import iter_pixels

        stored = []
        for frame in iter_pixels(dataset):
            until.check()
            stored.append(np.asarray(frame))
            if len(stored) > shape[0] or stored[-1].size != prod(shape[1:]):
                break
    except damage() as error:
        raise ScanError(f"{path}: its pixels are damaged, short or missing") from error
    if [one.size for one in stored] != shape[0] * [prod(shape[1:])]:
        raise ScanError(f"{path}: holds other pixels than its header says")
    frames = np.stack(stored).reshape(shape).astype(np.float32)
    if header.inverted:
        frames = _turned_bright(dataset) - frames
    for number, place in enumerate(header.slices):
        frames[number] *= np.float32(place.slope)
        frames[number] += np.float32(place.intercept)
    return frames


def _check_decoder(header: Header, dataset: Any) -> None:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    syntax = UID(str(dataset.file_meta.TransferSyntaxUID))
    name = syntax.name if not syntax.is_private and syntax.name != syntax else "unknown"
    needed = "convert the series to an uncompressed one"
    try:
        decoder = get_decoder(syntax)
        available = decoder.is_available
        if not available:
            needed = f"a decoder would: {'; '.join(decoder.missing_dependencies)}"
    except NotImplementedError:  # as pydicom says that it knows no such syntax
        available = False
    if not available:
        raise ScanError(
            f"{header.path}: packed in the transfer syntax {name}, which nothing here "
            f"can undo; {needed}"
        )


def _check_packed(header: Header, dataset: Any, limits: Limits) -> None:
    """Refuse packed frames of another size than the header's, before they unpack.

    JPEG and JPEG 2000 tell it; what Pillow does not know is measured after unpacking.
    """
    from PIL import Image, UnidentifiedImageError
    from pydicom.encaps import generate_frames

    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    count, drawn = max(1, len(header.slices)), 0
    for frame in generate_frames(dataset.PixelData, number_of_frames=count):
        try:
            with Image.open(BytesIO(frame), formats=("JPEG", "JPEG2000")) as picture:
                size = picture.size
        except UnidentifiedImageError:
            continue
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            size = None
        if size != (header.columns, header.rows):
            raise ScanError(f"{header.path}: holds other pixels than its header says")
        scans = num_scans(frame, most_segments=limits.segments)
        drawn += scans * header.rows * header.columns
        if drawn > limits.passes:
            raise ScanError(
                f"{header.path}: its JPEG frames draw more than {limits.passes} "
                "pixels, one over the other"
            )


def _turned_bright(dataset: Any) -> np.float32:
    """Return the sum of the darkest and the brightest value that can be stored.

    Taken before the rescale, as an inverted copy of the file would have been.
    """
    bits = int(dataset.BitsStored)
    signed = int(dataset.get("PixelRepresentation") or 0)
    return np.float32(-1 if signed else 2**bits - 1)
