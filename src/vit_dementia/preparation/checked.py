"""A scan prepared and judged: the same at training and prediction as in ``prepare``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vit_dementia.data.volumes import Volume
from vit_dementia.preparation.grids import CROP, shown_on
from vit_dementia.preparation.pipeline import Pipeline, Prepared, prepare
from vit_dementia.preparation.templates import load_template
from vit_dementia.quality.aligned import Reference
from vit_dementia.quality.found import look_at_found
from vit_dementia.quality.judging import look_at_aligned
from vit_dementia.quality.verdict import Quality, together

GRID = CROP.at(2.0)
"""On which prepared scans are judged."""


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
    found = look_at_found(volume.voxels, volume.spacing_mm)
    if found.verdict == "fail" and not all_the_same:
        return Checked(prepared=None, quality=found)
    prepared = prepare(volume, pipeline)
    shown = shown_on(GRID, prepared.laid)
    aligned = look_at_aligned(shown, reference(pipeline.template))
    return Checked(prepared=prepared, quality=together([found, aligned]))


@lru_cache(maxsize=2)
def reference(template: Path | None) -> Reference:
    """Return the template on ``GRID``."""
    there = load_template(template).on(GRID)
    return Reference(
        intensity=there.intensity,
        gray=there.gray,
        white=there.white,
        brain=there.brain,
    )
