"""Cases like this: the training participants whose scans the network takes for alike.

Shapes: s scans, d numbers of a feature.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def nearest(
    asked: Float[np.ndarray, " d"],
    features: Float[np.ndarray, "s d"],
    participants: Sequence[str],
    *,
    count: int,
    leave_out: str | None = None,
) -> list[tuple[int, float]]:
    """Return the nearest scan of each of the nearest participants, and how far it is.

    The distance is one less the cosine, in [0, 2]; 0 is alike. Nobody comes twice, so
    that many slices of one person are one case.

    >>> features = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> found = nearest(np.array([1.0, 0.0]), features, ["a", "a", "b"], count=2)
    >>> [(scan, round(distance, 3)) for scan, distance in found]
    [(0, 0.0), (2, 1.0)]

    Args:
        asked: feature of the scan that is asked about, of unit length.
        features: of the training scans, of unit length.
        participants: who is on each of these.
        count: of participants; fewer if there are not so many.
        leave_out: a participant who is no case: the one asked about.
    """
    distances = 1 - features.astype(np.float64) @ asked.astype(np.float64)
    found: dict[str, tuple[int, float]] = {}
    for scan in np.argsort(distances, kind="stable"):
        who = participants[scan]
        if who != leave_out and who not in found:
            found[who] = (int(scan), max(float(distances[scan]), 0.0))
        if len(found) == count:
            break
    return list(found.values())
