"""From a scan to an analysis-ready volume: one pipeline at training and at prediction.

Letters: ``x y z`` voxels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from vit_dementia.data.volumes import Volume
from vit_dementia.errors import ConfigError
from vit_dementia.files import fingerprint
from vit_dementia.preparation.grids import (
    CROP,
    Affine,
    Grid,
    box_around,
    sampled,
    shown_on,
)
from vit_dementia.preparation.intensity import Intensity, normalized
from vit_dementia.preparation.templates import Template, load_template

Name = Literal["t1-linear", "fast", "none"]

VERSIONS: Mapping[Name, int] = {"t1-linear": 2, "fast": 3, "none": 2}
"""Of the numbers that come out of each: raised by whatever changes them."""

_SOFTWARE: Mapping[Name, tuple[str, ...]] = {
    "t1-linear": ("antspyx", "simpleitk"),
    "fast": ("simpleitk",),
    "none": (),
}


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """How scans are prepared."""

    pipeline: Name = "t1-linear"
    """t1-linear: N4 and affine registration with ANTsPy, a minute a scan; fast: with
    SimpleITK, seconds a scan; none: for volumes that lie in a template's space"""
    spacing_mm: float | None = None
    """side of a voxel [default: 1; with none: as it is]"""
    skull_strip: bool = False
    """whether what lies outside the template's brain becomes 0"""
    intensity: Intensity = "as-is"
    """scale of gray values, set within the template's brain; our models scale what
    they read by themselves; histogram makes scans of several scanners alike"""
    template: Path | None = None
    """T1-weighted template in the space of ICBM 152, or clinica: that of Clinica's
    t1-linear, downloaded once [default: the skull-stripped one inside nilearn]"""
    seed: int = 0
    """of what the registration draws"""

    def __post_init__(self) -> None:
        """Refuse impossible numbers."""
        if self.spacing_mm is not None and not 0.5 <= self.spacing_mm <= 8:
            raise ConfigError(f"spacing_mm: found {self.spacing_mm}; needs 0.5 to 8")
        if not 0 <= self.seed < 2**31 - 1:
            raise ConfigError(f"seed: found {self.seed}; needs 0 to 2147483646")

    def require(self) -> None:
        """Pass if the software of the pipeline is installed.

        Raises:
            ConfigError: naming what is missing and how it is installed.
        """
        if missing := [n for n in _SOFTWARE[self.pipeline] if not _is_there(n)]:
            raise ConfigError(
                f"pipeline {self.pipeline}: {' and '.join(missing)} not installed; "
                "pip install 'vit-dementia[prepare]', or take --pipeline none for "
                "volumes that lie in a template's space already"
            )

    def facts(self) -> dict[str, Any]:
        """Return what two preparations must share to give the same numbers.

        >>> sorted(Pipeline(pipeline="none").facts())[:3]
        ['intensity', 'pipeline', 'seed']
        """
        told = dataclasses.asdict(self)
        told["template"] = load_template(self.template).sha256
        told["software"] = {name: version(name) for name in _SOFTWARE[self.pipeline]}
        return told | {"version": VERSIONS[self.pipeline]}

    def key(self, content: str) -> str:
        """Return the name of what becomes of one content under this pipeline."""
        return fingerprint([self.facts(), content])


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A prepared scan.

    Attributes:
        volume: on the pipeline's grid.
        laid: the same before it was stripped and scaled, for quality control.
        scan_of_template: from its millimetres to those of the scan; None if the same.
        steps: everything that was done, in order, for the sidecar.
    """

    volume: Volume
    laid: Volume
    scan_of_template: Affine | None
    steps: tuple[Mapping[str, Any], ...]


def _is_there(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def prepare(volume: Volume, pipeline: Pipeline) -> Prepared:
    """Return the scan as its models read it.

    Raises:
        ConfigError: if software that the pipeline needs is not installed.
        ScanError: if the brain holds one value only.
    """
    template = load_template(pipeline.template)
    way: Affine | None = None
    steps: tuple[Mapping[str, Any], ...] = ()
    if pipeline.pipeline == "t1-linear":
        from vit_dementia.preparation.ants_alignment import align_with_ants

        volume, found = align_with_ants(volume, template, seed=pipeline.seed)
        way, steps = found.scan_of_template, found.steps
    elif pipeline.pipeline == "fast":
        from vit_dementia.preparation.fast import lay

        laid = lay(volume, pipeline.template, seed=pipeline.seed)
        volume, way, steps = laid.volume, laid.scan_of_template, laid.steps
    grid = grid_of(pipeline, volume)
    if grid is None:
        shown = volume
    else:
        shown = Volume(shown_on(grid, volume, way), grid.affine, volume.notes)
        step = {
            "Name": "resampling",
            "Interpolation": "linear",
            "Shape": list(grid.shape),
            "OriginMm": list(grid.origin_mm),
            "SpacingMm": grid.spacing_mm,
        }
        steps = (*steps, step)
    finished, more = _finished(shown, template, pipeline)
    return Prepared(
        volume=finished, laid=shown, scan_of_template=way, steps=(*steps, *more)
    )


def grid_of(pipeline: Pipeline, volume: Volume) -> Grid | None:
    """Return the grid that a scan is brought to; None leaves it on its own."""
    if pipeline.pipeline != "none":
        return CROP if pipeline.spacing_mm is None else CROP.at(pipeline.spacing_mm)
    if pipeline.spacing_mm is None:
        return None
    return box_around(volume, pipeline.spacing_mm)


def _finished(
    shown: Volume, template: Template, pipeline: Pipeline
) -> tuple[Volume, list[dict[str, Any]]]:
    """Return the volume without its skull and on its scale of gray values."""
    voxels, steps = shown.voxels, list[dict[str, Any]]()
    brain = _brain_on(shown, template)
    if pipeline.skull_strip:
        voxels = np.where(brain, voxels, 0).astype(np.float32)
        steps.append({"Name": "skull strip", "Mask": "brain of the template"})
    if pipeline.intensity != "as-is":
        standard = template.intensity[template.brain > 0.5]
        voxels = normalized(voxels, brain, pipeline.intensity, standard)
        step = {"Name": "intensity normalization", "Kind": pipeline.intensity}
        steps.append(step | {"Mask": "brain of the template"})
    return Volume(voxels, shown.affine, shown.notes), steps


def _brain_on(shown: Volume, template: Template) -> Bool[np.ndarray, "x y z"]:
    """Return which voxels of a volume in the template's space are brain."""
    brain = Volume(template.brain, template.grid.affine)
    return sampled(brain, shown.voxels.shape, shown.affine) > 0.5
