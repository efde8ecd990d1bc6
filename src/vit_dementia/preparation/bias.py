"""Scans without their coil's shading: N4 (Tustison et al. 2010), by SimpleITK.

Letters: ``x y z`` voxels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from vit_dementia.data.volumes import Volume
from vit_dementia.preparation.alignment import ROUGH_MM, itk_image, simpleitk
from vit_dementia.preparation.grids import box_around, shown_on

SPLINE_MM = 600.0
"""Distance of the nodes, as in Clinica's ``t1-linear``."""

_ITERATIONS = [15, 15]
_TISSUE = 0.1  # of white: what is darker is air and holds no shading


def without_bias(volume: Volume) -> tuple[Volume, dict[str, Any]]:
    """Return the scan divided by its shading, which is found at 8 mm, and the step."""
    itk = simpleitk()
    grid = box_around(volume, ROUGH_MM)
    coarse = shown_on(grid, volume)
    mask = tissue_in(coarse)
    n4 = itk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations(_ITERATIONS)
    spans = [max(1, round(n * ROUGH_MM / SPLINE_MM)) for n in grid.shape]
    n4.SetNumberOfControlPoints([span + 3 for span in spans])  # cubic splines
    image = itk_image(coarse, grid)
    n4.Execute(image, itk_image(mask, grid, np.uint8))
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
        "SpacingMm": ROUGH_MM,
        "SplineMm": SPLINE_MM,
        "Iterations": _ITERATIONS,
    }
    return Volume(volume.voxels / bias, volume.affine, volume.notes), step


def tissue_in(voxels: Float32[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Return which voxels are brighter than air.

    >>> tissue_in(np.array([[[0.0, 1.0, 90.0, 100.0]]], np.float32)).tolist()
    [[[False, False, True, True]]]
    """
    bright = voxels[voxels > 0]
    if bright.size == 0:
        return np.zeros(voxels.shape, dtype=bool)
    return voxels > _TISSUE * np.percentile(bright, 99)
