"""A volume as it was found: can this be a T1-weighted head at all.

Letters: ``x y z`` voxels, to the right, to the front, up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

from vit_dementia.quality.verdict import Quality, Reason, Verdict

Voxels = Float32[np.ndarray, "x y z"]


@dataclass(frozen=True, kw_only=True)
class FoundLimits:
    """What a scan may be as found; chosen on OASIS-1 and single other scans."""

    fewest_values: int = 32  # different gray values; maps of labels have a dozen
    coldest: float = -0.1  # darkest voxel, of the brightest: CT has air at -1000
    coarse_mm: float = 2.5  # a voxel's longest side: from here on details are lost
    coarsest_mm: float = 4.5  # and from here on no brain can be measured
    least_extent_mm: float = 120.0  # of the field of view; a brain is 130 high
    least_filled: float = 0.05  # share of voxels that are tissue
    noisy: float = 0.15  # standard deviation of noise, of the brightest tissue
    noisiest: float = 0.25


LIMITS = FoundLimits()
HOPELESS = frozenset({"constant", "negative", "labels", "empty"})
"""Reasons for which nobody need look further; the others may have a reason behind."""

_BRIGHT_PERCENTILE = 99.0
_TISSUE = 0.1  # of the brightest; darker is air


def look_at_found(
    voxels: Voxels,
    spacing_mm: tuple[float, float, float],
    *,
    limits: FoundLimits = LIMITS,
) -> Quality:
    """Return what is wrong with a volume before anything was done to it.

    >>> zeros = np.zeros((64, 64, 64), np.float32)
    >>> [reason.code for reason in look_at_found(zeros, (3.0, 3.0, 3.0)).reasons]
    ['constant']
    """
    low, high = float(voxels.min()), float(voxels.max())
    if low == high:
        text = f"every voxel is {low:g}; needs a scan"
        return Quality(reasons=(_fail("constant", text),))
    measures = _measure(voxels, spacing_mm, low, limits)
    reasons = [
        *_of_values(measures, limits),
        *_of_shape(measures, spacing_mm, limits),
        *_of_noise(measures, limits),
    ]
    return Quality(reasons=tuple(reasons), measures=measures)


def _measure(
    voxels: Voxels,
    spacing_mm: tuple[float, float, float],
    low: float,
    limits: FoundLimits,
) -> dict[str, float]:
    bright = voxels[voxels > 0]
    white = float(np.percentile(bright, _BRIGHT_PERCENTILE)) if bright.size else 1.0
    tissue = voxels > _TISSUE * white
    return {
        "num_values": float(_num_values(voxels, limits.fewest_values)),
        "darkest": low / white,
        "longest_side_mm": max(spacing_mm),
        "least_extent_mm": min(
            n * s for n, s in zip(voxels.shape, spacing_mm, strict=True)
        ),
        "filled": float(tissue.mean()),
        "noise": _noise(voxels, tissue) / white,
    }


def _num_values(voxels: Voxels, enough: int) -> int:
    """Count different values, and stop counting when there are enough.

    >>> _num_values(np.arange(8, dtype=np.float32).reshape(2, 2, 2), 4) >= 4
    True
    """
    some = np.unique(voxels.ravel()[:: max(1, voxels.size // 65536)])
    return len(some) if len(some) >= enough else len(np.unique(voxels))


def _noise(voxels: Voxels, tissue: np.ndarray) -> float:
    """Estimate the standard deviation of noise within tissue.

    The mean absolute difference of a voxel and its neighbors on both sides along one
    axis (Immerkaer 1996, Computer Vision and Image Understanding 64, in one dimension);
    the axis with the least of it, as anatomy only adds.
    """
    inner = ndimage.binary_erosion(tissue, iterations=2)
    if inner.sum() < 1000:
        return 0.0
    estimates = []
    for axis in range(3):
        bend = ndimage.correlate1d(voxels, np.array([1.0, -2.0, 1.0]), axis=axis)
        spread = np.median(np.abs(bend[inner]))
        estimates.append(float(spread) / 0.6745 / np.sqrt(6))
    return min(estimates)


def _of_values(measures: dict[str, float], limits: FoundLimits) -> list[Reason]:
    reasons = []
    if measures["darkest"] < limits.coldest:
        text = (
            f"dark voxels down to {measures['darkest']:.1f} of the bright ones, as in "
            "CT or in an image that was normalized; needs an MR image as scanned"
        )
        reasons.append(_fail("negative", text))
    if measures["num_values"] < limits.fewest_values:
        text = (
            f"{measures['num_values']:.0f} different values, as in a map of labels; "
            "needs gray values"
        )
        reasons.append(_fail("labels", text))
    if measures["filled"] < limits.least_filled:
        text = (
            f"{measures['filled']:.1%} of the voxels hold anything; a head fills "
            f"{limits.least_filled:.0%} or more"
        )
        reasons.append(_fail("empty", text))
    return reasons


def _of_shape(
    measures: dict[str, float],
    spacing_mm: tuple[float, float, float],
    limits: FoundLimits,
) -> list[Reason]:
    reasons = []
    sides = " x ".join(f"{side:.2g}" for side in spacing_mm)
    if measures["longest_side_mm"] > limits.coarsest_mm:
        text = f"voxels of {sides} mm; needs sides of {limits.coarsest_mm:g} or less"
        reasons.append(_fail("resolution", text))
    elif measures["longest_side_mm"] > limits.coarse_mm:
        text = f"voxels of {sides} mm: low resolution, details are lost"
        reasons.append(Reason(code="resolution", verdict="warn", text=text))
    if measures["least_extent_mm"] < limits.least_extent_mm:
        text = (
            f"a field of view of {measures['least_extent_mm']:.0f} mm; a whole brain "
            f"needs {limits.least_extent_mm:.0f}"
        )
        reasons.append(_fail("field of view", text))
    return reasons


def _of_noise(measures: dict[str, float], limits: FoundLimits) -> list[Reason]:
    noise = measures["noise"]
    if noise <= limits.noisy:
        return []
    text = f"noise of {noise:.0%} of white matter"
    verdict: Verdict = "fail" if noise > limits.noisiest else "warn"
    return [Reason(code="noise", verdict=verdict, text=text)]


def _fail(code: str, text: str) -> Reason:
    return Reason(code=code, verdict="fail", text=text)
