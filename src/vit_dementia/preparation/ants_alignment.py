"""The steps of Clinica's ``t1-linear`` with ANTsPy: N4, then an affine registration.

ANTs begins where the search of ``alignment`` ends, and compares what is in and around
the brain. ITK decides once in a process how many threads it uses, and with more than
one the result differs from run to run: it is set to one before ANTs is imported.

Letters: ``x y z`` voxels.
"""

from __future__ import annotations

import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from vit_dementia.data.volumes import Volume
from vit_dementia.errors import ConfigError, ScanError
from vit_dementia.preparation.alignment import (
    Alignment,
    align_roughly,
    around_brain,
)
from vit_dementia.preparation.bias import SPLINE_MM, tissue_in
from vit_dementia.preparation.grids import Affine
from vit_dementia.preparation.templates import Template

_THREADS, _SEED = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "ANTS_RANDOM_SEED"
_KIND = "antsRegistrationSyNQuick[a]"
_SHRINK = 4
_ITERATIONS = {"iters": [50, 50, 50, 50], "tol": 1e-7}


def align_with_ants(
    volume: Volume, template: Template, *, seed: int
) -> tuple[Volume, Alignment]:
    """Return the scan without its shading, and where the template's places are in it.

    Call it in a process of its own: it changes the environment.

    Raises:
        ConfigError: if ANTs is at work with more threads.
        ScanError: if the registration fails.
    """
    ants = _ants(seed)
    rough = align_roughly(volume, template)
    moving = _image(ants, volume.voxels, volume.affine)
    tissue = tissue_in(volume.voxels).astype(np.float32)
    corrected = ants.n4_bias_field_correction(
        moving,
        mask=_image(ants, tissue, volume.affine),
        shrink_factor=_SHRINK,
        convergence=_ITERATIONS,
        spline_param=SPLINE_MM,
    )
    fixed = _image(ants, template.intensity, template.grid.affine)
    mask = _image(ants, around_brain(template), template.grid.affine)
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "start.mat"
        ants.write_transform(_transform(ants, rough.scan_of_template), str(start))
        try:
            found = ants.registration(
                fixed,
                corrected,
                _KIND,
                initial_transform=[str(start)],
                mask=mask,
                outprefix=str(Path(folder) / "found"),
            )
        except RuntimeError as error:
            raise ScanError(f"cannot be registered ({error})") from error
        (file,) = found["fwdtransforms"]
        matrix = _matrix(ants.read_transform(file))
    steps = (
        {
            "Name": "N4 bias correction",
            "Software": _software(),
            "SplineMm": SPLINE_MM,
            "ShrinkFactor": _SHRINK,
            "Iterations": _ITERATIONS["iters"],
        },
        *rough.steps,
        {
            "Name": "affine registration",
            "Software": _software(),
            "Kind": _KIND,
            "Metric": "Mattes mutual information in and around the brain",
            "Seed": seed,
            "Threads": 1,
        },
    )
    shaded = Volume(corrected.numpy().astype(np.float32), volume.affine, volume.notes)
    return shaded, Alignment(scan_of_template=matrix, steps=steps)


def _ants(seed: int) -> Any:
    """Return ANTsPy on one thread with the seed given.

    Raises:
        ConfigError: if it was imported with more threads.
    """
    if "ants" in sys.modules and os.environ.get(_THREADS) != "1":
        raise ConfigError(
            "ants: was imported before, with more than one thread, and would give "
            f"another result in every run; set {_THREADS}=1 before it is imported"
        )
    os.environ[_THREADS] = "1"
    os.environ[_SEED] = str(seed + 1)  # 0 is the clock
    import ants

    return ants


def _software() -> str:
    return f"ANTsPy {version('antspyx')}"


def _image(ants: Any, voxels: np.ndarray, affine: Affine) -> Any:
    """Return an image of ANTs whose coordinates are ours, RAS, as in ``alignment``."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return ants.from_numpy(
        voxels.astype(np.float32),
        origin=affine[:3, 3].tolist(),
        spacing=spacing.tolist(),
        direction=affine[:3, :3] / spacing,
    )


def _transform(ants: Any, matrix: Affine) -> Any:
    return ants.create_ants_transform(
        transform_type="AffineTransform",
        dimension=3,
        matrix=matrix[:3, :3],
        translation=matrix[:3, 3].tolist(),
        center=[0.0, 0.0, 0.0],
    )


def _matrix(transform: Any) -> Affine:
    """Return a transform of ANTs, turned about a center, as one matrix."""
    parameters = np.asarray(transform.parameters, dtype=np.float64)
    turn, moved = parameters[:9].reshape(3, 3), parameters[9:]
    center = np.asarray(transform.fixed_parameters, dtype=np.float64)
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = center + moved - turn @ center
    return matrix
