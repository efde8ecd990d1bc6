"""One scale of gray values for scans of all scanners.

Letters: ``x y z`` voxels, ``n`` of them within a brain, ``m`` within another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32

from vit_dementia.errors import ScanError

Intensity = Literal["as-is", "z-score", "percentile", "white-matter", "histogram"]
Voxels = Float32[np.ndarray, "x y z"]
Values = Float32[np.ndarray, " n"]
Standard = Float32[np.ndarray, " m"]
Mask = Bool[np.ndarray, "x y z"]

LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.0
_BINS = 200
_SMOOTH = 5  # bins
_LANDMARKS = (1, *range(10, 100, 10), 99)


def normalized(
    voxels: Voxels, brain: Mask, how: Intensity, standard: Standard
) -> Voxels:
    """Return the voxels on another scale, set by those within the brain.

    ``z-score``: deviations from the brain's mean in its standard deviations.
    ``percentile``: the brain's 1st percentile becomes 0 and its 99th 1.
    ``white-matter``: the peak of white matter becomes 1.
    ``histogram``: the brain's 1st and 99th percentile and the tens between become those
    of the standard, and what lies between them in proportion (Nyul and Udupa 1999, "On
    standardizing the MR image intensity scale"); where nothing is stays 0.
    ``as-is``: nothing changes.

    Args:
        voxels: of a scan.
        brain: where they are brain.
        how: as above.
        standard: gray values of the brain that scans are made alike to.

    Raises:
        ScanError: if the brain holds one value only.
    """
    inside = voxels[brain & (voxels > 0)]
    if inside.size == 0 or inside.min() == inside.max():
        raise ScanError("every voxel of the brain has the same value")
    if how == "histogram":
        return _histogram(voxels, inside, standard)
    return _WAYS[how](voxels, inside).astype(np.float32)


def white_peak(inside: Values) -> float:
    """Return the gray value of white matter: the brightest large peak of a T1 brain.

    >>> rng = np.random.default_rng(0)
    >>> gray, white = rng.normal(60, 6, 6000), rng.normal(100, 5, 5000)
    >>> round(white_peak(np.concatenate([gray, white]).astype(np.float32)), -1)
    100.0
    """
    low, high = np.percentile(inside, [1, 99.5])
    counts, edges = np.histogram(inside, bins=_BINS, range=(low, high))
    smooth = np.convolve(counts, np.hanning(2 * _SMOOTH + 1), mode="same")
    middle = (edges[:-1] + edges[1:]) / 2
    rises = np.flatnonzero((smooth[1:-1] >= smooth[:-2]) & (smooth[1:-1] > smooth[2:]))
    peaks = rises + 1
    large = peaks[smooth[peaks] > smooth.max() / 4] if peaks.size else peaks
    return float(middle[large.max() if large.size else smooth.argmax()])


def _histogram(voxels: Voxels, inside: Values, standard: Standard) -> Voxels:
    known, place = np.unique(np.percentile(inside, _LANDMARKS), return_index=True)
    if len(known) < 2:
        raise ScanError("nearly every voxel of the brain has the same value")
    wanted = np.percentile(standard[standard > 0], _LANDMARKS)[place]
    made = np.interp(voxels, [0.0, *known], [0.0, *wanted])
    slope = (wanted[-1] - wanted[-2]) / (known[-1] - known[-2])
    made += np.clip(voxels - known[-1], 0, None) * slope
    return made.astype(np.float32)


def _as_is(voxels: Voxels, _: Values) -> Voxels:
    return voxels


def _z_score(voxels: Voxels, inside: Values) -> Voxels:
    return (voxels - inside.mean()) / inside.std()


def _percentile(voxels: Voxels, inside: Values) -> Voxels:
    ends = np.percentile(inside, [LOW_PERCENTILE, HIGH_PERCENTILE])
    low, high = ends.astype(np.float32)
    return np.clip((voxels - low) / (high - low), 0, 1)


def _white_matter(voxels: Voxels, inside: Values) -> Voxels:
    return voxels / np.float32(white_peak(inside))


_WAYS: dict[Intensity, Callable[[Voxels, Values], Voxels]] = {
    "as-is": _as_is,
    "z-score": _z_score,
    "percentile": _percentile,
    "white-matter": _white_matter,
}
