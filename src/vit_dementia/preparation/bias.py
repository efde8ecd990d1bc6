"""Scans without their coil's shading: N4 (Tustison et al. 2010), by SimpleITK.

Letters: ``x y z`` voxels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from vit_dementia.data.volumes import Volume
from vit_dementia.errors import ScanError
from vit_dementia.preparation.alignment import ROUGH_MM, itk_image, simpleitk
from vit_dementia.preparation.grids import Affine, Grid, box_around, shown_on
from vit_dementia.preparation.templates import Template

Map = Float32[np.ndarray, "x y z"]
Mask = Bool[np.ndarray, "x y z"]

SPLINE_MM = 600.0
"""Distance of the nodes, as in Clinica's ``t1-linear``."""

_ITERATIONS = [15, 15]
_TISSUE = 0.1  # of white: what is darker is air and holds no shading
_BRAIN_MM, _BRAIN_SPLINE_MM = 4.0, 200.0
_BRAIN_ITERATIONS = [50, 50, 50, 50]
_BRAIN_TISSUE = 0.05  # of the brightest of the brain
_LEAST_VOXELS = 8  # along each side of the brain, to look for shading in it


class _Coarse(NamedTuple):
    """What a grid shows of a volume."""

    grid: Grid
    voxels: Map


def without_bias(volume: Volume) -> tuple[Volume, dict[str, Any]]:
    """Return the scan divided by its shading, which is found at 8 mm, and the step.

    Raises:
        ScanError: if ITK cannot find it.
    """
    grid = box_around(volume, ROUGH_MM)
    coarse = _Coarse(grid, shown_on(grid, volume))
    return _divided(volume, coarse, tissue_in(coarse.voxels), SPLINE_MM, _ITERATIONS)


def without_bias_in_brain(
    volume: Volume, template: Template, scan_of_template: Affine
) -> tuple[Volume, dict[str, Any]] | None:
    """Return the scan divided by the shading of its brain, found at 4 mm, and the step.

    Around the brain it is divided by what the shading is at its border. None: hardly
    anything is seen where the brain is to be.

    Args:
        volume: the scan as it was found.
        template: laid on it.
        scan_of_template: from the template's millimetres to the scan's.

    Raises:
        ScanError: if ITK cannot find it.
    """
    around = box_around(volume, _BRAIN_MM)
    there = Volume(template.brain, template.grid.affine)
    brain = shown_on(around, there, np.linalg.inv(scan_of_template)) > 0.5
    coarse = shown_on(around, volume)
    if not brain.any():
        return None
    brain &= coarse > _BRAIN_TISSUE * np.percentile(coarse[brain], 99)
    boxes = ndimage.find_objects(brain.astype(np.uint8))
    if not boxes or min(side.stop - side.start for side in boxes[0]) < _LEAST_VOXELS:
        return None
    box = boxes[0]
    first = np.array([side.start for side in box])
    a, b, c = (np.array(around.origin_mm) + _BRAIN_MM * first).tolist()
    x, y, z = (side.stop - side.start for side in box)
    grid = Grid(shape=(x, y, z), origin_mm=(a, b, c), spacing_mm=_BRAIN_MM)
    seen = _Coarse(grid, coarse[box])
    made, step = _divided(volume, seen, brain[box], _BRAIN_SPLINE_MM, _BRAIN_ITERATIONS)
    return made, step | {"Mask": "brain of the template"}


def _divided(
    volume: Volume,
    coarse: _Coarse,
    mask: Mask,
    spline_mm: float,
    iterations: list[int],
) -> tuple[Volume, dict[str, Any]]:
    """Return a volume divided by the shading of what a grid shows of it, and the step.

    Args:
        volume: what is divided.
        coarse: in which shading is found; beyond, it is that of its border.
        mask: where shading is looked for.
        spline_mm: distance of the nodes.
        iterations: at most, on each level.

    Raises:
        ScanError: if ITK cannot find it.
    """
    itk, grid = simpleitk(), coarse.grid
    n4 = itk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations(iterations)
    spans = [max(1, round(n * grid.spacing_mm / spline_mm)) for n in grid.shape]
    n4.SetNumberOfControlPoints([span + 3 for span in spans])  # cubic splines
    image = itk_image(coarse.voxels, grid)
    try:
        n4.Execute(image, itk_image(mask, grid, np.uint8))
    except RuntimeError as error:
        cause = str(error).strip().splitlines()[-1]
        raise ScanError(f"its shading cannot be found ({cause})") from error
    log_bias = itk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image))
    way = np.linalg.inv(grid.affine) @ volume.affine
    bias = ndimage.affine_transform(
        np.exp(log_bias.transpose(2, 1, 0)).astype(np.float32),
        way[:3, :3],
        way[:3, 3],
        output_shape=volume.voxels.shape,
        order=1,
        mode="nearest",
    )
    step = {
        "Name": "N4 bias correction",
        "Software": "SimpleITK",
        "SpacingMm": grid.spacing_mm,
        "SplineMm": spline_mm,
        "Iterations": iterations,
    }
    return Volume(volume.voxels / bias, volume.affine, volume.notes), step


def tissue_in(voxels: Map) -> Mask:
    """Return which voxels are brighter than air.

    >>> tissue_in(np.array([[[0.0, 1.0, 90.0, 100.0]]], np.float32)).tolist()
    [[[False, False, True, True]]]
    """
    bright = voxels[voxels > 0]
    if bright.size == 0:
        return np.zeros(voxels.shape, dtype=bool)
    return voxels > _TISSUE * np.percentile(bright, 99)
