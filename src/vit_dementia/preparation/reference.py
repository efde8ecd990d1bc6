"""The template as quality control compares scans with it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from vit_dementia.preparation.grids import CROP
from vit_dementia.preparation.templates import load_template
from vit_dementia.quality.aligned import Reference

GRID = CROP.at(2.0)
"""On which scans are judged."""


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
