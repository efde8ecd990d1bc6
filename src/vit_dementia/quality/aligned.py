"""A volume laid on the template: is a T1-weighted brain there, whole and the right way.

Everything is measured on a grid of 2 mm in the template's space. Letters: ``x y z``
voxels, to the right, to the front, up; ``n`` voxels of the brain.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

Map = Float32[np.ndarray, "x y z"]
Mask = Bool[np.ndarray, "x y z"]

_SMOOTH = 1.5  # voxels; what a person's folds do not blur away is not the template's
_TISSUE = 0.15  # of the brightest; darker is air
_BRIGHT_PERCENTILE = 99.0
_SHELL = 3, 8  # voxels outside the brain: skull and scalp, where they were left


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """The template on the grid of quality control."""

    intensity: Map
    gray: Map
    white: Map
    brain: Map

    @cached_property
    def inside(self) -> Mask:
        """Return the brain."""
        return self.brain > 0.5

    @cached_property
    def smooth(self) -> Map:
        """Return the intensities as blurred as scans are before they are compared."""
        return _blurred(self.intensity)

    @cached_property
    def inner(self) -> Mask:
        """Return the brain without its rim: an outline alone is like any other."""
        return ndimage.binary_erosion(self.inside, iterations=2)

    @cached_property
    def shell(self) -> Mask:
        """Return where skull and scalp are, if they are."""
        near, far = _SHELL
        far_off = ndimage.distance_transform_edt(~self.inside)
        away = np.asarray(far_off, dtype=np.float32)
        shell = (away > near) & (away <= far)
        shell[:, :, : shell.shape[2] // 2] = False  # below is the neck
        return shell


def measure(voxels: Map, reference: Reference) -> dict[str, float]:
    """Return the numbers that the verdict rests on, by name.

    ``likeness``: correlation with the template inside the brain, in [-1, 1].
    ``white``, ``gray``, ``fluid``: mean gray value of the tissue, of the brightest.
    ``covered``: share of the brain where there is tissue; ``covered_least``: of the
    half (left, right, back, front, lower, upper) that has the least.
    ``skull``: share of the place of skull and scalp where there is tissue.
    """
    inside = voxels[reference.inside]
    bright = inside[inside > 0]
    if bright.size == 0 or inside.std() == 0:
        return {"likeness": 0.0, "covered": 0.0, "covered_least": 0.0}
    white = np.percentile(bright, _BRIGHT_PERCENTILE)
    leveled = np.clip(voxels / white, 0, 1.2).astype(np.float32)
    tissue = leveled > _TISSUE
    fluid = reference.inside & (reference.gray + reference.white < 0.3)
    means = {
        "white": reference.white > 0.9,
        "gray": reference.gray > 0.8,
        "fluid": fluid,
    }
    return {
        "likeness": likeness(leveled, reference),
        **{name: float(np.median(leveled[mask])) for name, mask in means.items()},
        "covered": float(tissue[reference.inside].mean()),
        "covered_least": min(_halves(tissue, reference.inside)),
        "skull": float(tissue[reference.shell].mean()),
    }


def likeness(leveled: Map, reference: Reference) -> float:
    """Return the correlation with the template inside the brain.

    Higher is better; a mirrored or turned brain, a fruit or noise have 0.4 or less.
    """
    here = _blurred(leveled)[reference.inner]
    there = reference.smooth[reference.inner]
    if here.std() == 0:
        return 0.0
    return float(np.corrcoef(here, there)[0, 1])


def _halves(tissue: Mask, brain: Mask) -> list[float]:
    """Return the share of each half of the brain that is tissue."""
    shares = []
    for axis in range(3):
        places = np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {axis})))
        cut = int(places.mean()) + 1
        for half in (slice(None, cut), slice(cut, None)):
            index = (slice(None),) * axis + (half,)
            shares.append(float(tissue[index][brain[index]].mean()))
    return shares


def _blurred(voxels: Map) -> Map:
    return np.asarray(ndimage.gaussian_filter(voxels, _SMOOTH), dtype=np.float32)
