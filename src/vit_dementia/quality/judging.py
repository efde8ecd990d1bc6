"""From the numbers of a volume on the template to a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from vit_dementia.quality.aligned import Reference, measure
from vit_dementia.quality.orientation import best_axes
from vit_dementia.quality.verdict import Quality, Reason, Verdict

Map = Float32[np.ndarray, "x y z"]


@dataclass(frozen=True, kw_only=True)
class AlignedLimits:
    """What a volume on the template may be; where from: ``docs/tables/quality``."""

    least_likeness: float = 0.55  # below: no T1-weighted brain lies there
    likeness: float = 0.70  # below: it lies there badly
    least_covered: float = 0.60  # share of the half of the brain that has least tissue
    covered: float = 0.80
    least_gray: float = 0.35  # of white matter; a map of white matter has less
    turned: float = 0.15  # how much more alike another orientation has to be


LIMITS = AlignedLimits()


def look_at_aligned(
    voxels: Map, reference: Reference, *, limits: AlignedLimits = LIMITS
) -> Quality:
    """Return what is wrong with a volume that lies on the template."""
    measures = measure(voxels, reference)
    reasons = list[Reason]()
    if measures["covered"] > 0:
        reasons += _of_contrast(measures, limits)
        reasons += _of_cover(measures, limits)
    if measures["likeness"] < limits.likeness:
        axes, there, here = best_axes(voxels, reference.intensity)
        measures["likeness_turned"] = there
        if axes != "RAS" and there > here + limits.turned:
            text = (
                f"turned: looks like a brain when its axes are read as {axes} instead "
                "of RAS; the orientation in its header is wrong"
            )
            reasons.append(Reason(code="orientation", verdict="fail", text=text))
        reasons += _of_likeness(measures, limits)
    return Quality(reasons=tuple(reasons), measures=measures)


def _of_contrast(measures: Mapping[str, float], limits: AlignedLimits) -> list[Reason]:
    """Return whether white matter is brighter than gray, and gray than fluid."""
    white, gray, fluid = (measures[name] for name in ("white", "gray", "fluid"))
    shown = f"white {white:.2f}, gray {gray:.2f}, fluid {fluid:.2f}"
    if gray < limits.least_gray * white:
        text = f"a map of white matter, not a T1-weighted image ({shown})"
        return [Reason(code="tissue map", verdict="fail", text=text)]
    if not white > gray > fluid:
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
