"""How a scan is turned, moved and stretched to lie on the template, with SimpleITK.

First a search over tilts and shifts at 8 mm and a rigid turn, for heads of several
sizes; from the best of them a similarity and an affine at 4 mm, and an affine at 2 mm.
Only what is in and around the template's brain is compared: scans may have a skull or
not.
SimpleITK, not DIPY, because one wheel brings the registration, the bias correction and
a mask in the metric, and nothing else with it; it leaves threads and seeds to callers.

Letters: ``x y z`` voxels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy import ndimage

from vit_dementia.data.volumes import Volume
from vit_dementia.errors import ScanError
from vit_dementia.preparation.grids import Affine, Grid, box_around, shown_on
from vit_dementia.preparation.templates import Template

ROUGH_MM, MIDDLE_MM, FINE_MM = 8.0, 4.0, 2.0
_AROUND_MM = 4.0  # beyond the brain: fluid is dark, and the skull not reached
_MARGIN_MM = 48.0  # of air around a scan, so that no tilt leads outside of it
_TILTS = 2, 0.25  # steps to either side and radians a step, nose up and down
_SHIFTS = (0, 1, 3), 10.0  # steps to either side along x, y, z, and millimetres a step
# Of heads, seen from the template; most have 0.93. From a wrong size the way is unsafe:
# a larger brain is easily found in skull and scalp.
_SIZES = (0.86, 0.93, 1.0, 1.07)
_SAMPLED = {MIDDLE_MM: 0.2, FINE_MM: 0.05}  # share of voxels compared in each step
_ITERATIONS = 60
_BRIGHT_PERCENTILE = 99.0
_TOP_MM = 10.0  # from the brain of the template to the skin above it


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment:
    """Where each place of the template is in the scan.

    Attributes:
        scan_of_template: from the template's millimetres to the scan's.
        steps: what was done, with its numbers, for a sidecar.
    """

    scan_of_template: Affine
    steps: tuple[dict[str, Any], ...]


def align(volume: Volume, template: Template, *, seed: int) -> Alignment:
    """Lay a scan on the template in seconds."""
    rough = align_roughly(volume, template)
    pair = _Pair.of(volume, template, MIDDLE_MM)
    found = _refined(pair, rough.scan_of_template, "similarity", seed=seed)
    found = _refined(pair, found, "affine", seed=seed)
    pair = _Pair.of(volume, template, FINE_MM)
    found = _refined(pair, found, "affine", seed=seed)
    step = {
        "Name": "affine registration",
        "Software": "SimpleITK",
        "Metric": "correlation in and around the brain",
        "SpacingMm": [MIDDLE_MM, MIDDLE_MM, FINE_MM],
        "Seed": seed,
    }
    return replace(rough, scan_of_template=found, steps=(*rough.steps, step))


def align_roughly(volume: Volume, template: Template) -> Alignment:
    """Search tilts and shifts of heads of each size, turn each, and take the best."""
    pair = _Pair.of(volume, template, ROUGH_MM, around_mm=ROUGH_MM)
    tried = [_turned(pair, _searched(pair, size), size) for size in _SIZES]
    found = min(tried, key=pair.unlike)
    step = {
        "Name": "search over tilts, shifts and sizes",
        "Software": "SimpleITK",
        "Metric": "correlation in and around the brain",
        "SpacingMm": ROUGH_MM,
        "Sizes": list(_SIZES),
    }
    return Alignment(scan_of_template=found, steps=(step,))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pair:
    """Template and scan at one resolution, as ITK's images, and what is compared."""

    template: Template
    fixed: Any
    moving: Any
    mask: Any
    shift: Float[np.ndarray, " 3"]  # from the template's brain to the scan's, roughly
    seed: int = 1  # of ITK, where 0 is the clock

    @classmethod
    def of(
        cls,
        volume: Volume,
        template: Template,
        spacing_mm: float,
        around_mm: float = _AROUND_MM,
    ) -> _Pair:
        here = _coarser(template, spacing_mm)
        grid = box_around(volume, spacing_mm, _MARGIN_MM)
        moving = _leveled(shown_on(grid, volume))
        return cls(
            template=here,
            fixed=itk_image(here.intensity, here.grid),
            moving=itk_image(moving, grid),
            mask=itk_image(around_brain(here, around_mm), here.grid, np.uint8),
            shift=_first_shift(moving, grid, here),
        )

    def method(self, size: float = 1.0) -> tuple[Any, Any]:
        """Return a registration without its optimizer, and the template in one size."""
        itk = simpleitk()
        method = itk.ImageRegistrationMethod()
        method.SetMetricAsCorrelation()
        method.SetMetricFixedMask(_sized(self.mask, size))
        method.SetInterpolator(itk.sitkLinear)
        # Of the few voxels compared only, not of the whole image first.
        method.MetricUseFixedImageGradientFilterOff()
        method.MetricUseMovingImageGradientFilterOff()
        spacing = self.template.grid.spacing_mm
        if (share := _SAMPLED.get(spacing)) is not None:
            method.SetMetricSamplingStrategy(method.RANDOM)
            method.SetMetricSamplingPercentage(share, self.seed)
        return method, _sized(self.fixed, size)

    def unlike(self, scan_of_template: Affine) -> float:
        """Return how unlike the two are: the negative square of a correlation."""
        place = simpleitk().AffineTransform(3)
        place.SetMatrix(scan_of_template[:3, :3].ravel().tolist())
        place.SetTranslation(scan_of_template[:3, 3].tolist())
        method, fixed = self.method()
        method.SetInitialTransform(place, inPlace=True)
        return float(method.MetricEvaluate(fixed, self.moving))


@lru_cache(maxsize=3)
def _coarser(template: Template, spacing_mm: float) -> Template:
    """Return a template in larger voxels, kept for the next scan."""
    return template.on(template.grid.at(spacing_mm))


def _searched(pair: _Pair, size: float) -> Affine:
    """Return the best of all tilts and shifts of a head of one size."""
    itk = simpleitk()
    center = _middle(pair.template)
    start = itk.Euler3DTransform()
    start.SetCenter((size * center).tolist())
    start.SetTranslation((pair.shift + center - size * center).tolist())
    tilts, radians = _TILTS
    steps, mm = _SHIFTS
    method, fixed = pair.method(size)
    method.SetOptimizerAsExhaustive([tilts, 0, 0, *steps])
    method.SetOptimizerScales([radians, 1.0, 1.0, mm, mm, mm])
    method.SetInitialTransform(start, inPlace=True)
    _run(method, fixed, pair.moving)
    return _matrix(start, size)


def _turned(pair: _Pair, start: Affine, size: float) -> Affine:
    """Return a better matrix than ``start`` of the same size."""
    itk = simpleitk()
    center = _middle(pair.template)
    transform = itk.Euler3DTransform()
    transform.SetCenter((size * center).tolist())
    transform.SetMatrix(_rotation_in(start).ravel().tolist())
    moved = start[:3, :3] @ center + start[:3, 3] - size * center
    transform.SetTranslation(moved.tolist())
    method, fixed = pair.method(size)
    _descend(method, first_step_mm=1.0)
    method.SetInitialTransform(transform, inPlace=True)
    better = _run(method, fixed, pair.moving)
    return _matrix(transform, size) if better else start


def simpleitk() -> Any:
    """Return SimpleITK, told to use one thread."""
    import SimpleITK as itk  # noqa: N813  # its own name is ITK's, made simple

    # With more, sums depend on who comes first. Scans are spread over cores instead.
    untyped: Any = itk
    untyped.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    return untyped


def _refined(pair: _Pair, start: Affine, kind: str, *, seed: int) -> Affine:
    """Return a better matrix than ``start``: a similarity, or an affine."""
    itk = simpleitk()
    center = _middle(pair.template)
    if kind == "similarity":
        transform = itk.Similarity3DTransform()
        transform.SetCenter(center.tolist())
        transform.SetMatrix(_rotation_in(start).ravel().tolist())
        transform.SetScale(float(np.cbrt(np.linalg.det(start[:3, :3]))))
    else:
        transform = itk.AffineTransform(3)
        transform.SetCenter(center.tolist())
        transform.SetMatrix(start[:3, :3].ravel().tolist())
    moved = start[:3, :3] @ center + start[:3, 3] - center
    transform.SetTranslation(moved.tolist())
    method, fixed = replace(pair, seed=seed + 1).method()
    _descend(method, first_step_mm=0.5)
    method.SetInitialTransform(transform, inPlace=True)
    better = _run(method, fixed, pair.moving)
    return _matrix(transform) if better else start


def _descend(method: Any, *, first_step_mm: float) -> None:
    """Let a registration go down the gradient."""
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=first_step_mm,
        minStep=0.01,
        numberOfIterations=_ITERATIONS,
        gradientMagnitudeTolerance=0.0,  # its unit is nobody's: the step decides
    )
    method.SetOptimizerScalesFromPhysicalShift()


def _sized(image: Any, size: float) -> Any:
    """Return an image of ITK that is ``size`` times as large around the origin."""
    sized = simpleitk().Image(image)
    sized.SetOrigin([size * place for place in image.GetOrigin()])
    sized.SetSpacing([size * side for side in image.GetSpacing()])
    return sized


def _rotation_in(affine: Affine) -> Float[np.ndarray, "3 3"]:
    """Return the turn of an affine, its stretch left out."""
    left, _, right = np.linalg.svd(affine[:3, :3])
    return np.asarray(left @ right)


def around_brain(
    fixed: Template, mm: float = _AROUND_MM
) -> Float32[np.ndarray, "x y z"]:
    """Return the brain of the template and what is close to it."""
    spacing = fixed.grid.spacing_mm
    far_off = ndimage.distance_transform_edt(fixed.brain < 0.5, sampling=spacing)
    away = np.asarray(far_off, dtype=np.float32)
    return (away <= mm).astype(np.float32)


def _middle(fixed: Template) -> Float[np.ndarray, " 3"]:
    """Return the center of the template's brain in millimetres."""
    voxel = np.array(ndimage.center_of_mass(fixed.brain))
    return voxel * fixed.grid.spacing_mm + np.array(fixed.grid.origin_mm)


def _first_shift(
    moving: Float32[np.ndarray, "x y z"], grid: Grid, fixed: Template
) -> Float[np.ndarray, " 3"]:
    """Return the way from the template's brain to where the scan's should be.

    What is bright below the head (neck and shoulders) is not looked at: the top of the
    head, and the middle of what is within a brain's height of it, lead the search.
    """
    bright = moving > 0.2
    heights = np.flatnonzero(bright.sum(axis=(0, 1)) > 4)
    if heights.size == 0:
        return np.zeros(3)
    brain = np.argwhere(fixed.brain > 0.5) * fixed.grid.spacing_mm
    tall = np.ptp(brain[:, 2])
    top = int(heights.max())
    upper = bright.copy()
    upper[:, :, : max(0, top - int(tall / grid.spacing_mm))] = False
    middle = np.argwhere(upper).mean(axis=0) * grid.spacing_mm + grid.origin_mm
    crown = top * grid.spacing_mm + grid.origin_mm[2] - _TOP_MM / 2
    here = _middle(fixed)
    crown_here = brain[:, 2].max() + fixed.grid.origin_mm[2]
    shift = middle - here
    shift[2] = crown - crown_here
    return np.asarray(shift)


def _leveled(voxels: Float32[np.ndarray, "x y z"]) -> Float32[np.ndarray, "x y z"]:
    """Return the voxels on a scale from 0 (air) to 1 (the brightest tissue)."""
    bright = voxels[voxels > 0]
    if bright.size == 0:
        return voxels
    white = np.percentile(bright, _BRIGHT_PERCENTILE)
    return np.clip(voxels / white, 0, 1).astype(np.float32)


def _run(method: Any, fixed: Any, moving: Any) -> bool:
    """Run a registration; return whether it has made the two more alike.

    Raises:
        ScanError: if ITK gives up, say because nothing of the scan is near the brain.
    """
    try:
        before = method.MetricEvaluate(fixed, moving)
        method.Execute(fixed, moving)
    except RuntimeError as error:
        cause = str(error).strip().splitlines()[-1]
        raise ScanError(f"cannot be registered ({cause})") from error
    return bool(method.GetMetricValue() < before)  # lower is more alike


def itk_image(
    voxels: Float32[np.ndarray, "x y z"] | Bool[np.ndarray, "x y z"],
    grid: Grid,
    dtype: type = np.float32,
) -> Any:
    """Return an image of ITK.

    Its coordinates are ours, RAS, in both images: ITK's own, LPS, would only be turned
    back again.
    """
    image = simpleitk().GetImageFromArray(
        np.ascontiguousarray(voxels.transpose(2, 1, 0)).astype(dtype)
    )
    image.SetOrigin(grid.origin_mm)
    image.SetSpacing((grid.spacing_mm,) * 3)
    return image


def _matrix(transform: Any, size: float = 1.0) -> Affine:
    """Return a transform of ITK, turned about a center, as one matrix.

    Args:
        transform: from the template in one size to the scan.
        size: of that template.
    """
    turn = np.array(transform.GetMatrix()).reshape(3, 3)
    center = np.array(transform.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3] = size * turn
    matrix[:3, 3] = center + np.array(transform.GetTranslation()) - turn @ center
    return matrix
