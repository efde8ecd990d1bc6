"""How much work a JPEG stream is, told before any of it is decoded.

A progressive JPEG draws the whole picture once for each of its scans, and a scan may
have no more than ten bytes: a small file can ask for hours of work in one call of a
decoder that nothing interrupts. (ITU-T T.81: markers in B.1.1, scans in B.2.3.)
"""

from __future__ import annotations

import re
import struct

_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")  # all but fill, zeros, restarts
_START_OF_SCAN, _END = 0xDA, 0xD9
_BARE = frozenset({0x01, 0xD8})  # markers without a length


def num_scans(content: bytes, *, most_segments: int) -> int:
    r"""Return how often a decoder would go over the whole picture.

    Args:
        content: a JPEG file, whole or not.
        most_segments: parts that are looked at.

    Raises:
        ValueError: if there are more.

    >>> num_scans(b"\xff\xd8" + 3 * b"\xff\xda\0\2ab" + b"\xff\xd9", most_segments=9)
    3
    """
    at = scans = segments = 0
    while (found := _MARKER.search(content, at)) is not None:
        kind, at = found[1][0], found.end()
        if kind == _END:
            break
        segments += 1
        if segments > most_segments:
            raise ValueError(f"more than {most_segments} segments")
        scans += kind == _START_OF_SCAN
        if kind not in _BARE and at + 2 <= len(content):
            at += struct.unpack_from(">H", content, at)[0]
    return scans
