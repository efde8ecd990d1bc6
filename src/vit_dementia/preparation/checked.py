"""A scan prepared and judged: the same at training and prediction as in ``prepare``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vit_dementia.data.volumes import Volume
from vit_dementia.preparation.grids import shown_on
from vit_dementia.preparation.pipeline import Pipeline, Prepared, prepare
from vit_dementia.preparation.reference import GRID, reference
from vit_dementia.preparation.templates import load_template
from vit_dementia.quality.aligned import measure
from vit_dementia.quality.found import HOPELESS, look_at_found
from vit_dementia.quality.judging import (
    LIMITS,
    look_at_aligned,
    look_at_stretch,
    turned,
)
from vit_dementia.quality.verdict import Quality, Reason, together

_TURNS = {"RAS": (1, 1), "RAI": (1, -1), "RPS": (-1, 1), "RPI": (-1, -1)}
_BETTER = 0.1  # likeness, which a turned head must have more of


@dataclass(frozen=True, kw_only=True, eq=False)
class Checked:
    """A scan that was judged, and prepared unless it was refused as it was found.

    Attributes:
        prepared: None if the scan was refused before any work was done on it.
        quality: the verdict, with its reasons.
    """

    prepared: Prepared | None
    quality: Quality


def prepare_checked(
    volume: Volume, pipeline: Pipeline, *, all_the_same: bool = False
) -> Checked:
    """Judge a scan as it was found, prepare it, and judge what became of it.

    Args:
        volume: the scan.
        pipeline: how it is prepared.
        all_the_same: prepare also what was refused as it was found.

    Raises:
        ConfigError: if software that the pipeline needs is not installed.
        ScanError: if the registration fails.
    """
    found = together([look_at_found(volume.voxels, volume.spacing_mm), _noted(volume)])
    hopeless = any(reason.code in HOPELESS for reason in found.reasons)
    if hopeless and not all_the_same:
        return Checked(prepared=None, quality=found)
    prepared = prepare(volume, pipeline)
    shown = shown_on(GRID, prepared.laid)
    parts = [found, look_at_aligned(shown, reference(pipeline.template))]
    if prepared.scan_of_template is not None:
        likeness = parts[1].measures["likeness"]
        parts.insert(0, _look_at_turns(volume, pipeline, likeness))
        parts.append(look_at_stretch(prepared.scan_of_template))
    return Checked(prepared=prepared, quality=together(parts))


def _noted(volume: Volume) -> Quality:
    """Return as a reason what reading the scan had to mend or could not know."""
    if not volume.notes:
        return Quality()
    text = "; ".join(volume.notes)
    return Quality(reasons=(Reason(code="header", verdict="warn", text=text),))


def _look_at_turns(volume: Volume, pipeline: Pipeline, likeness: float) -> Quality:
    """Return whether a scan that fits badly fits better when it is turned over.

    A registration follows small tilts only, on purpose: it would turn a head that is
    labelled the wrong way around without a word.
    """
    from vit_dementia.preparation.alignment import align_roughly

    if likeness >= LIMITS.likeness:
        return Quality()
    there = reference(pipeline.template)
    template = load_template(pipeline.template)
    alike = dict[str, float]()
    for axes, (back, up) in _TURNS.items():
        voxels = np.ascontiguousarray(volume.voxels[:, ::back, ::up])
        turned_over = Volume(voxels, volume.affine)
        way = align_roughly(turned_over, template).scan_of_template
        shown = shown_on(GRID, turned_over, way)
        alike[axes] = measure(shown, there)["likeness"]
    best = max(alike, key=alike.__getitem__)
    if best == "RAS" or alike[best] < max(alike["RAS"], likeness) + _BETTER:
        return Quality()
    return Quality(reasons=(turned(best),))
