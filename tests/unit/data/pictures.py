"""Pictures written by hand, in kinds that Pillow does not write."""

from __future__ import annotations

import struct

import numpy as np

_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3


def tiff(pixels: np.ndarray, *, white_is_zero: bool = False) -> bytes:
    """Return gray pixels of any type as a TIFF of one strip (TIFF 6.0, section 8)."""
    kind = {"u": _UNSIGNED, "i": _SIGNED, "f": _FLOAT}[pixels.dtype.kind]
    height, width = pixels.shape
    body = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<")).tobytes()
    tags = {
        256: width, 257: height, 258: 8 * pixels.itemsize, 259: 1,
        262: 0 if white_is_zero else 1, 273: 0, 277: 1, 278: height, 279: len(body),
        339: kind,
    }  # fmt: skip
    tags[273] = 8 + 2 + 12 * len(tags) + 4  # where the strip begins
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + body
