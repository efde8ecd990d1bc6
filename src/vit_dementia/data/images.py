"""Slice images from disk, with the pixel values that the file means.

Shapes: c channels, h rows, w columns.

Which decoder reads a file is decided by its first bytes and never by its name. A gray
slice gives the same numbers whether it was stored as gray, color, palette, CMYK or
with an opaque alpha channel, and lying on its side with an EXIF tag or upright.
"""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Float32
from PIL import ExifTags, Image, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from vit_dementia.data.jpeg import num_scans
from vit_dementia.data.modes import DEEP, check_colors, num_colors, pixels_of
from vit_dementia.data.opening import Deadline, TimedBytes, opened
from vit_dementia.errors import ScanError
from vit_dementia.limits import LIMITS, Limits

log = logging.getLogger(__name__)

PICTURE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"}
)

# Plugins are called directly: Image.open would try all it knows (EPS runs Ghostscript),
# and its size check only warns up to twice the limit.
_DECODERS: Mapping[str, type[ImageFile]] = MappingProxyType(
    {
        "PNG": PngImageFile,
        "JPEG": JpegImageFile,
        "TIFF": TiffImageFile,
        "WebP": WebPImageFile,
        "BMP": BmpImageFile,
    }
)
_SUFFIX_OF = {"PNG": "png", "JPEG": "jpg jpeg", "TIFF": "tif tiff", "WebP": "webp"}

# What Pillow's decoders raise on bytes that are not what they claim to be.
_DECODER_ERRORS = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    NotImplementedError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Warning,  # where the caller has made warnings errors
)

_NEEDED = "an image file"
_OTHERS = (  # formats that are told by name, and where their marks stand
    ("a GIF image", 0, b"GIF8"),
    ("a JPEG 2000 image", 4, b"jP  \r\n"),
    ("a HEIC or AVIF image, or a film", 4, b"ftyp"),
    ("a BigTIFF image", 0, b"II+\0"),
    ("a BigTIFF image", 0, b"MM\0+"),
    ("a PDF document", 0, b"%PDF"),
    ("a zip archive", 0, b"PK\3\4"),
    ("gzip", 0, b"\x1f\x8b"),
)
_TURNED = range(5, 9)  # EXIF orientations that swap rows and columns


def read_slice(
    path: Path, *, channels: int = 1, limits: Limits = LIMITS
) -> Float32[np.ndarray, "c h w"]:
    """Return one slice image in the file's own units (8-bit: 0..255, 16-bit: 0..65535).

    The image is turned upright as its EXIF tag says; transparent pixels become black;
    color becomes gray by ITU-R 601 luma when one channel is asked for, and gray is
    repeated when three are.

    Raises:
        ScanError: if the file is not a readable PNG, JPEG, TIFF, WebP or BMP image.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels: found {channels}; 1 (gray) or 3 (RGB) is needed")
    until = Deadline(path, seconds=limits.decoding_seconds)
    with opened(
        path, most_bytes=limits.image_bytes, needed=_NEEDED, deadline=until
    ) as file:
        content = file.read()
    kind = _kind_of(path, content[:16])
    _check_whole(path, kind, content, limits)
    try:
        with _DECODERS[kind](TimedBytes(content, until)) as image:
            _check_header(path, kind, image, limits)
            if kind == "JPEG":
                _check_scans(path, content, image, limits)
            colors = num_colors(image)
            image.load()
            upright = ImageOps.exif_transpose(image)
            check_colors(path, upright, colors)
            pixels = pixels_of(path, upright, image, channels)
    except MemoryError as error:
        raise ScanError(f"{path}: too large for this machine's memory") from error
    except _DECODER_ERRORS as error:
        raise ScanError(f"{path}: damaged {kind} file ({_one_line(error)})") from error
    if not np.isfinite(pixels).all():
        raise ScanError(f"{path}: holds pixels that are not finite numbers")
    return np.ascontiguousarray(np.broadcast_to(pixels, (channels, *pixels.shape[1:])))


def probe_size(path: Path, *, limits: Limits = LIMITS) -> tuple[int, int]:
    """Return height and width of the upright image, from the file's header alone.

    Raises:
        ScanError: as `read_slice`, as far as the header can tell.
    """
    with opened(path, most_bytes=limits.image_bytes, needed=_NEEDED) as file:
        kind = _kind_of(path, file.read(16))
        file.seek(0)
        try:
            with _DECODERS[kind](file) as image:
                _check_header(path, kind, image, limits)
                width, height = image.size
                # Without a tag, PNG's getexif would decode the whole image to find one;
                # the TIFF plugin gives the upright size by itself.
                tagged = kind == "JPEG" or "exif" in image.info
                exif = image.getexif() if tagged and kind != "TIFF" else {}
                turned = exif.get(ExifTags.Base.Orientation) in _TURNED
        except _DECODER_ERRORS as error:
            cause = _one_line(error)
            raise ScanError(f"{path}: damaged {kind} file ({cause})") from error
    return (width, height) if turned else (height, width)


def _kind_of(path: Path, head: bytes) -> str:
    """Name the format that the first bytes show."""
    kind = None
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        kind = "PNG"
    elif head.startswith(b"\xff\xd8\xff"):
        kind = "JPEG"
    elif head.startswith((b"II*\0", b"MM\0*")):
        kind = "TIFF"
    elif head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        kind = "WebP"
    elif head.startswith(b"BM"):
        kind = "BMP"
    if kind is None:
        raise ScanError(
            f"{path}: found {_name_of_other(head)}; a PNG, JPEG, TIFF, WebP or BMP "
            "image is needed"
        )
    if path.suffix.lower().lstrip(".") not in _SUFFIX_OF.get(kind, "bmp").split():
        log.info("%s: is a %s image in spite of its name", path, kind)
    return kind


def _name_of_other(head: bytes) -> str:
    r"""Say what the first bytes of a file are that is no picture of ours.

    >>> _name_of_other(b"GIF89a"), _name_of_other(b"<html>"), _name_of_other(b"\1\0a")
    ('a GIF image', 'text or HTML', 'other bytes')
    """
    for name, at, mark in _OTHERS:
        if head[at:].startswith(mark):
            return name
    text = head.lstrip()
    is_text = text.isascii() and text.decode("ascii").replace("\n", "").isprintable()
    return "text or HTML" if text[:1] == b"<" or is_text else "other bytes"


def _check_whole(path: Path, kind: str, content: bytes, limits: Limits) -> None:
    """Refuse files whose end is missing or whose checksums are wrong.

    Pillow skips the checksums of pixel data and lets a missing end mark pass.
    """
    if kind == "JPEG" and content.rfind(b"\xff\xd9") <= content.rfind(b"\xff\xda"):
        raise ScanError(f"{path}: JPEG file is cut off (no end mark)")
    if kind != "PNG":
        return
    at = 8  # after the signature
    for _ in range(limits.segments):
        if at + 12 > len(content):
            break
        (length,) = struct.unpack_from(">I", content, at)
        body_end = at + 8 + length
        if body_end + 4 > len(content):
            break
        name = content[at + 4 : at + 8]
        checksum = struct.unpack_from(">I", content, body_end)[0]
        if zlib.crc32(memoryview(content)[at + 4 : body_end]) != checksum:
            raise ScanError(f"{path}: damaged PNG file (wrong checksum in {name!r})")
        if name == b"IEND":
            return
        at = body_end + 4
    else:
        raise ScanError(f"{path}: PNG file of more than {limits.segments} parts")
    raise ScanError(f"{path}: PNG file is cut off (no end mark)")


def _check_scans(path: Path, content: bytes, image: ImageFile, limits: Limits) -> None:
    """Refuse a JPEG file that draws its picture so often that it takes for ever."""
    width, height = image.size
    try:
        scans = num_scans(content, most_segments=limits.segments)
    except ValueError as error:
        raise ScanError(f"{path}: JPEG file of {error}") from error
    if scans * width * height > limits.passes:
        raise ScanError(
            f"{path}: JPEG file that draws {width} x {height} pixels {scans} times; at "
            f"most {limits.passes} pixels in all are drawn"
        )


def _check_header(path: Path, kind: str, image: ImageFile, limits: Limits) -> None:
    """Refuse, before decoding, what is too large or cannot be kept exactly."""
    width, height = image.size
    if width * height > limits.pixels:
        raise ScanError(
            f"{path}: claims {width} x {height} pixels; "
            f"at most {limits.pixels} are read"
        )
    if max(width, height) > limits.sides * min(width, height):
        raise ScanError(
            f"{path}: is {width} x {height} pixels; no slice of a head is more than "
            f"{limits.sides:g} times as long as wide"
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and kind == "TIFF":
        raise ScanError(f"{path}: holds {frames} pages; one slice in a file is needed")
    if frames > 1:
        log.info("%s: holds %d frames; the first is read", path, frames)
    if _bits(kind, image) > 8 and image.mode not in DEEP:
        raise ScanError(
            f"{path}: 16-bit color (or alpha), of which half would be lost; "
            "save it as 16-bit gray without alpha or as 8-bit color"
        )


def _bits(kind: str, image: ImageFile) -> int:
    """Return the bits of one sample as the header says."""
    if kind == "PNG":  # Pillow tells it only through the raw mode of its decoder
        raw = str(image.tile[0][3]) if image.tile else ""
        return 16 if ";16" in raw else 8
    if kind == "TIFF":
        return int(max(getattr(image, "tag_v2", {}).get(258, (8,))))  # BitsPerSample
    return 8


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
