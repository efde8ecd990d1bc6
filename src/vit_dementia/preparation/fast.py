"""The pipeline ``fast``: a scan laid on the template by SimpleITK, without its shading.

Shading is first looked for in all tissue, roughly. Where a coil makes one side several
times as bright as another, most of it is left, and draws the registration away. A brain
that is then unlike the template's is looked at again: shading is found within it, and
the scan laid anew, as long as that makes the two more alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vit_dementia.data.volumes import Volume
from vit_dementia.preparation.alignment import align
from vit_dementia.preparation.bias import without_bias, without_bias_in_brain
from vit_dementia.preparation.grids import Affine, shown_on
from vit_dementia.preparation.reference import GRID, reference
from vit_dementia.preparation.templates import load_template
from vit_dementia.quality.aligned import measure
from vit_dementia.quality.judging import LIMITS

_ROUNDS = 3  # at most, after the first


@dataclass(frozen=True, kw_only=True, eq=False)
class Laid:
    """A scan whose place on the template is known.

    Attributes:
        volume: on its own grid, without shading.
        scan_of_template: from the template's millimetres to the scan's.
        steps: what was done, in order, for a sidecar.
        likeness: correlation with the template within the brain.
    """

    volume: Volume
    scan_of_template: Affine
    steps: tuple[Mapping[str, Any], ...]
    likeness: float


def lay(scan: Volume, template: Path | None, *, seed: int) -> Laid:
    """Return a scan without its shading, and where the template is in it.

    Args:
        scan: as it was found.
        template: file of the template; None: nilearn's.
        seed: of what the registration draws.

    Raises:
        ScanError: if the shading cannot be found, or the registration fails.
    """
    best = _laid(*without_bias(scan), (), template, seed)
    for _ in range(_ROUNDS):
        if best.likeness >= LIMITS.likeness:
            break
        evened = without_bias_in_brain(
            scan, load_template(template), best.scan_of_template
        )
        if evened is None:
            break
        again = _laid(*evened, best.steps, template, seed)
        if again.likeness <= best.likeness:
            break
        best = again
    return best


def _laid(
    volume: Volume,
    step: Mapping[str, Any],
    before: tuple[Mapping[str, Any], ...],
    template: Path | None,
    seed: int,
) -> Laid:
    found = align(volume, load_template(template), seed=seed)
    shown = shown_on(GRID, volume, found.scan_of_template)
    return Laid(
        volume=volume,
        scan_of_template=found.scan_of_template,
        steps=(*before, step, *found.steps),
        likeness=measure(shown, reference(template))["likeness"],
    )
