"""The same picture under two labels, whatever files it was stored in.

Shapes: ``n`` scans, ``c`` channels, ``space`` the sides of a slice or a volume.
"""

from __future__ import annotations

import zlib
from collections import defaultdict

import numpy as np
from jaxtyping import UInt8

from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.cohort import Cohort
from vit_dementia.errors import DataError


def refuse_two_labels(cohort: Cohort, images: UInt8[np.ndarray, "n c *space"]) -> None:
    """Pass if no two scans look the same to the network and have different labels.

    Args:
        cohort: whose scans.
        images: prepared, row by row.

    Raises:
        DataError: naming both scans of each pair.
    """
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row, image in enumerate(images):
        rows_of[zlib.crc32(np.ascontiguousarray(image).data)].append(row)
    table = cohort.table
    faults = []
    for rows in rows_of.values():
        first = rows[0]
        for row in rows[1:]:
            labels = {table["label"].iloc[one] for one in (first, row)}
            if (
                len(labels - {UNKNOWN}) > 1
                and (images[first] == images[row]).all()  # not the checksum alone
            ):
                one, other = (
                    f"{table['path'].iloc[at]} ({table['label'].iloc[at]})"
                    for at in (first, row)
                )
                faults.append(
                    f"{cohort.root}: the same picture has two labels: {one}, {other}; "
                    "remove it from all but one class"
                )
    if faults:
        raise DataError.of(faults)
