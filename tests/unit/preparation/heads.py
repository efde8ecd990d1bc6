"""Phantoms whose place in the template is known exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from vit_dementia.data.phantoms.atlas import Atlas, Grid, load_atlas
from vit_dementia.data.phantoms.grids import affine_of, volume_axes
from vit_dementia.data.phantoms.head import load_head
from vit_dementia.data.phantoms.participants import draw_participant
from vit_dementia.data.phantoms.rendering import render
from vit_dementia.data.phantoms.settings import Appearance, Variation
from vit_dementia.data.volumes import Volume
from vit_dementia.preparation.templates import load_template

# Nobody is bent, so that an affine can undo all of it; all lie worse than most.
UNBENT = replace(
    Variation(), bend_mm_sd=0.0, fold_mm_sd=0.0, turn_degrees_sd=6.0, shift_mm_sd=8.0
)


@dataclass(frozen=True)
class Head:
    volume: Volume
    scan_of_template: np.ndarray


@lru_cache(maxsize=1)
def _atlas() -> Atlas:
    return load_atlas()


@lru_cache(maxsize=1)
def _around() -> Grid:
    return load_head(_atlas())


@lru_cache(maxsize=4)
def head(
    number: int, *, whole_head: bool = False, variation: Variation = UNBENT
) -> Head:
    """Return one phantom, and where each place of the template is in it."""
    who = draw_participant(
        number, classes=3, seed=7, variation=variation, appearance=Appearance()
    )
    axes = volume_axes(whole_head=whole_head)
    scan = render(who, _atlas(), axes, _around() if whole_head else None)
    truth = np.eye(4)
    truth[:3, :3] = np.linalg.inv(who.pose)
    truth[:3, 3] = who.shift_mm
    return Head(Volume(scan.intensity, affine_of(axes)), truth)


def error_mm(found: np.ndarray, truth: np.ndarray) -> float:
    """Return how far off the points of the brain are, in the median."""
    template = load_template()
    voxels = np.argwhere(template.brain > 0.5)[::50]
    places = voxels + np.array(template.grid.origin_mm)
    points = np.c_[places, np.ones(len(places))].T
    away = ((found - truth) @ points)[:3]
    return float(np.median(np.linalg.norm(away, axis=0)))
