"""What one input may cost at most: the only home of such numbers.

A limit is checked before anything is decoded or unpacked, so that a small file which
claims to be huge is refused in milliseconds and not after it has filled the memory.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024**2


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The largest input of each kind that is read.

    >>> Limits(pixels=100).pixels
    100
    """

    image_bytes: int = 256 * MIB  # one picture on disk
    pixels: int = 40_000_000  # of one picture; 6000 x 6000 still fits
    volume_bytes: int = 1024 * MIB  # one volume on disk, and unpacked
    voxels: int = 512**3  # of one volume; as floats half a gibibyte
    trailing_bytes: int = MIB  # after the voxels of a file
    sides: float = 4.0  # longer to shorter side of one picture; slices have 1 to 1.5
    table_bytes: int = 256 * MIB  # one CSV or TSV
    cell_characters: int = 10_000  # one field of a table
    files: int = 2_000_000  # entries met while walking a folder
    depth: int = 32  # folders inside one another
    download_bytes: int = 16 * 1024 * MIB  # one file from the network
    members: int = 200_000  # files in one archive
    unpacked_bytes: int = 32 * 1024 * MIB  # one archive, unpacked
    ratio: int = 200  # unpacked to packed size of one archive (deflate's worst: 1032)
    weight_bytes: int = 64 * 1024 * MIB  # one file of weights
    weight_ratio: int = 10  # tensors to their file; trained numbers hardly compress
    weight_members: int = 20_000  # tensors in one file; the largest have hundreds
    json_bytes: int = 256 * MIB  # one JSON document
    class_characters: int = 200  # the name of one class


LIMITS = Limits()
