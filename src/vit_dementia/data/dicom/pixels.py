"""The pixels of one DICOM file, in the scanner's unit and bright where it was bright.

Letters: ``f`` frames, ``h``, ``w`` rows and columns.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from jaxtyping import Float32

from vit_dementia.data.dicom.headers import Header, damage, read_dataset
from vit_dementia.errors import ScanError
from vit_dementia.limits import LIMITS, Limits

_TAGS = (
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PlanarConfiguration", "PixelData", "FloatPixelData", "DoubleFloatPixelData",
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
)  # fmt: skip


def read_frames(
    header: Header, *, limits: Limits = LIMITS
) -> Float32[np.ndarray, "f h w"]:
    """Decode every frame of a file, rescaled; MONOCHROME1 is turned bright side up.

    Raises:
        ScanError: if they are damaged, missing, or packed in a way that no installed
            package can undo.
    """
    path = header.path
    dataset = read_dataset(path, _TAGS, pixels=True, limits=limits)
    try:
        _check_decoder(header, dataset)
        _check_packed(header, dataset)
        from pydicom.pixels.utils import pixel_array

        stored = np.asarray(pixel_array(dataset))
    except damage() as error:
        raise ScanError(f"{path}: its pixels are damaged, short or missing") from error
    shape = (max(1, len(header.slices)), header.rows, header.columns)
    if stored.size != np.prod(shape):
        raise ScanError(f"{path}: holds other pixels than its header says")
    frames = stored.reshape(shape).astype(np.float32)
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
        available = get_decoder(syntax).is_available
        needed = "pip install 'vit-dementia[dicom]' brings a decoder"
    except NotImplementedError:  # as pydicom says that it knows no such syntax
        available = False
    if not available:
        raise ScanError(
            f"{header.path}: packed in the transfer syntax {name}, which nothing here "
            f"can undo; {needed}"
        )


def _check_packed(header: Header, dataset: Any) -> None:
    """Refuse packed frames of another size than the header's, before they unpack.

    JPEG and JPEG 2000 tell it; what Pillow does not know is measured after unpacking.
    """
    from PIL import Image, UnidentifiedImageError
    from pydicom.encaps import generate_frames

    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    count = max(1, len(header.slices))
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


def _turned_bright(dataset: Any) -> np.float32:
    """Return the sum of the darkest and the brightest value that can be stored.

    Taken before the rescale, as an inverted copy of the file would have been.
    """
    bits = int(dataset.BitsStored)
    signed = int(dataset.get("PixelRepresentation") or 0)
    return np.float32(-1 if signed else 2**bits - 1)
