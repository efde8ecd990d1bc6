"""What only shows beside the others: scans unlike all the rest, and scans that repeat.

Letters: ``n`` scans; ``v`` voxels of 4 mm, in any order; ``x y z`` voxels of 2 mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

Rows = Float32[np.ndarray, "n v"]

FEWEST = 10  # scans; of fewer nobody can say what is usual


@dataclass(frozen=True, kw_only=True)
class CohortLimits:
    """When a scan stands out; chosen on scans of OASIS-1 and single others."""

    unusual: float = 5.0  # robust standard deviations below the median likeness
    same: float = 0.9995  # correlation of two scans that are one


LIMITS = CohortLimits()


def typicality(rows: Rows) -> Float[np.ndarray, " n"]:
    """Return the correlation of each scan with the voxelwise median of all.

    >>> rng = np.random.default_rng(0)
    >>> brain = rng.normal(size=500)
    >>> rows = np.stack([brain + 0.1 * rng.normal(size=500) for _ in range(5)])
    >>> rows[4] = rng.normal(size=500)
    >>> typicality(rows.astype(np.float32)).round(1).tolist()
    [1.0, 1.0, 1.0, 1.0, 0.0]
    """
    middle = _standard(np.median(rows, axis=0, keepdims=True))
    return np.asarray(_standard(rows) @ middle[0], dtype=np.float64)


def unusual(
    typical: Float[np.ndarray, " n"], *, limits: CohortLimits = LIMITS
) -> tuple[float, list[int]]:
    """Return the least usual typicality, and which scans lie below it.

    >>> unusual(np.array([0.95, 0.94, 0.96] * 5 + [0.6]))[1]
    [15]
    """
    if len(typical) < FEWEST:
        return -1.0, []
    middle = float(np.median(typical))
    spread = 1.4826 * float(np.median(np.abs(typical - middle)))
    least = middle - limits.unusual * spread
    return least, np.flatnonzero(typical < least).tolist()


def repeats(rows: Rows, *, limits: CohortLimits = LIMITS) -> list[tuple[int, int]]:
    """Return the pairs of scans that show the same, each pair once.

    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(3, 100)).astype(np.float32)
    >>> rows[2] = 2 * rows[0]
    >>> repeats(rows)
    [(0, 2)]
    """
    standard = _standard(rows)
    pairs = []
    for first, row in enumerate(standard):
        alike = standard[first + 1 :] @ row
        pairs += [
            (first, first + 1 + int(k)) for k in np.flatnonzero(alike > limits.same)
        ]
    return pairs


def row_of(shown: Float32[np.ndarray, "x y z"]) -> Float32[np.ndarray, " v"]:
    """Return what is compared of one scan: all of it at 4 mm, given at 2 mm.

    >>> row_of(np.zeros((4, 4, 4), np.float32)).shape
    (8,)
    """
    return shown[::2, ::2, ::2].ravel()


def _standard(rows: Rows) -> Rows:
    """Return rows of mean 0 and length 1; a constant row is all 0."""
    centered = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centered, axis=1, keepdims=True)
    return np.asarray(centered / np.maximum(length, 1e-12), dtype=np.float32)
