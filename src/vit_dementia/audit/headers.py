"""What a picture's file says of itself, whatever it shows.

The quality of a JPEG file is read from its quantization table: the quality at which
the example tables of its standard (ITU-T T.81, Annex K), scaled as the Independent JPEG
Group's library scales them, come closest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from vit_dementia.data.assembly import is_volume

_READ = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")  # what `read_slice` reads
_NAMED = {"WEBP": "WebP"}
_BITS_PER_SAMPLE = 258  # TIFF tag
_BIT_DEPTH_AT = 24  # byte of a PNG file, in its first chunk
_DEEP = {"I": 32, "F": 32}

# ITU-T T.81, Table K.1: luminance, row by row.
_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """The facts of one file.

    Attributes:
        bytes: size on disk.
        format: what the first bytes show, whatever the name says.
        mode: kind of pixels, in Pillow's words (``L`` gray, ``RGB`` color …).
        bits: of one sample.
        jpeg_quality: 1 to 100; None of another format.
    """

    bytes: int
    format: str
    mode: str
    bits: int
    jpeg_quality: int | None


def read_header(path: Path) -> Header:
    """Return the facts of a picture's file; of a volume's only its size."""
    if is_volume(path.name):
        size = 0 if path.is_dir() else path.stat().st_size
        return Header(bytes=size, format="volume", mode="L", bits=8, jpeg_quality=None)
    with Image.open(path, formats=_READ) as image:
        kind, mode = str(image.format), image.mode
        bits = _DEEP.get(mode, 16 if mode.startswith("I;16") else 8)
        if kind == "TIFF":
            bits = int(max(getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (bits,))))
        tables = getattr(image, "quantization", None) if kind == "JPEG" else None
    if kind == "PNG":
        with path.open("rb") as file:
            bits = file.read(_BIT_DEPTH_AT + 1)[_BIT_DEPTH_AT]
    return Header(
        bytes=path.stat().st_size,
        format=_NAMED.get(kind, kind),
        mode=mode,
        bits=bits,
        jpeg_quality=jpeg_quality(tables[min(tables)]) if tables else None,
    )


def jpeg_quality(table: Sequence[int]) -> int:
    """Return the quality, 1 to 100, whose luminance table is nearest to this one.

    >>> jpeg_quality([1] * 64)
    100
    """
    distances = np.abs(_tables() - np.array(table, dtype=np.float64)).sum(axis=1)
    return 100 - int(np.argmin(distances[::-1]))


@cache
def _tables() -> Float[np.ndarray, "100 64"]:
    """Return the luminance tables of every quality from 1 to 100."""
    quality = np.arange(1, 101)[:, None]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    scaled = (np.array(_LUMINANCE) * scale + 50) // 100
    return np.clip(scaled, 1, 255).astype(np.float64)
