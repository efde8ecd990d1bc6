"""From the numbers of a volume on the template to a verdict.

Letters: ``x y z`` voxels of 2 mm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from vit_dementia.quality.aligned import Reference, measure
from vit_dementia.quality.orientation import best_axes
from vit_dementia.quality.verdict import Quality, Reason, Verdict

Map = Float32[np.ndarray, "x y z"]


@dataclass(frozen=True, kw_only=True)
class AlignedLimits:
    """What a prepared scan may be; chosen on OASIS-1 and single other scans."""

    least_likeness: float = 0.35  # below: no T1-weighted brain lies there
    likeness: float = 0.60  # below: it lies there badly
    least_covered: float = 0.80  # share of the half of the brain that has least tissue
    covered: float = 0.83
    least_gray: float = 0.35  # of white matter; a map of white matter has less
    contrast: float = 1.1  # white matter to gray, and gray matter to fluid, at least
    turned: float = 0.05  # how much more alike another orientation has to be
    stretched: float = 1.2  # longest to shortest axis of a head, seen from the template
    most_stretched: float = 1.5


LIMITS = AlignedLimits()


def look_at_aligned(
    voxels: Map, reference: Reference, *, limits: AlignedLimits = LIMITS
) -> Quality:
    """Return what is wrong with a volume that lies on the template."""
    measures = measure(voxels, reference)
    reasons = list[Reason]()
    if measures["likeness"] < limits.likeness:
        axes, there, here = best_axes(voxels, reference.intensity)
        if axes != "RAS" and there > here + limits.turned:
            reasons.append(turned(axes))
    if measures["covered"] > 0:
        reasons += _of_cover(measures, limits)
        reasons += _of_contrast(measures, limits)
    reasons += _of_likeness(measures, limits)
    return Quality(reasons=tuple(reasons), measures=measures)


def turned(axes: str) -> Reason:
    """Return the reason that a head lies in another way than its header says."""
    text = (
        f"turned: looks like a brain when its axes are read as {axes} instead of RAS; "
        "the orientation in its header is wrong"
    )
    return Reason(code="orientation", verdict="fail", text=text)


def look_at_stretch(
    scan_of_template: Float[np.ndarray, "4 4"], *, limits: AlignedLimits = LIMITS
) -> Quality:
    """Return whether a head had to be stretched, more along one axis than another.

    >>> [reason.code for reason in look_at_stretch(np.diag([1, 1, 0.6, 1.0])).reasons]
    ['stretched']
    """
    sizes = np.linalg.svd(scan_of_template[:3, :3], compute_uv=False)
    stretch = float(sizes[0] / sizes[2])
    measures = {"stretch": stretch}
    if stretch < limits.stretched:
        return Quality(measures=measures)
    text = (
        f"stretched {stretch:.2f} times more along one axis than along another to fit "
        "the template: part of the head is missing, or the size of its voxels is wrong"
    )
    verdict: Verdict = "fail" if stretch > limits.most_stretched else "warn"
    reason = Reason(code="stretched", verdict=verdict, text=text)
    return Quality(reasons=(reason,), measures=measures)


def _of_contrast(measures: Mapping[str, float], limits: AlignedLimits) -> list[Reason]:
    """Return whether white matter is brighter than gray, and gray than fluid."""
    white, gray, fluid = (measures[name] for name in ("white", "gray", "fluid"))
    shown = f"white {white:.2f}, gray {gray:.2f}, fluid {fluid:.2f}"
    if gray < limits.least_gray * white:
        text = f"a map of white matter, not a T1-weighted image ({shown})"
        return [Reason(code="tissue map", verdict="fail", text=text)]
    if white < limits.contrast * gray or gray < limits.contrast * fluid:
        text = (
            f"not T1-weighted ({shown}, of the brightest): white matter must be "
            "brighter than gray, and gray brighter than fluid"
        )
        return [Reason(code="contrast", verdict="fail", text=text)]
    return []


def _of_cover(measures: Mapping[str, float], limits: AlignedLimits) -> list[Reason]:
    """Return whether part of the brain is missing."""
    least = measures["covered_least"]
    if least >= limits.covered:
        return []
    text = f"{1 - least:.0%} of one half of the brain is missing"
    verdict: Verdict = "fail" if least < limits.least_covered else "warn"
    return [Reason(code="missing", verdict=verdict, text=text)]


def _of_likeness(measures: Mapping[str, float], limits: AlignedLimits) -> list[Reason]:
    found = measures["likeness"]
    if found >= limits.likeness:
        return []
    if found < limits.least_likeness:
        text = (
            f"no T1-weighted brain where the template has one (likeness {found:.2f}; "
            f"needs {limits.least_likeness:.2f})"
        )
        return [Reason(code="no brain", verdict="fail", text=text)]
    text = (
        f"badly registered (likeness {found:.2f}; good scans have "
        f"{limits.likeness:.2f} or more)"
    )
    return [Reason(code="registration", verdict="warn", text=text)]
