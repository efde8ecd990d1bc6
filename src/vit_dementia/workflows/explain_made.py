"""What is left of a map once it is drawn: its row, and what it adds to a mean.

Shapes: ``space`` the sides of what is added, of a slice as the network reads it or of
the template's grid.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from vit_dementia.explanation.regions import by_region, load_template, on_template
from vit_dementia.workflows.explain import Explanation


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """A map that was made.

    Attributes:
        row: of ``explanations.tsv``.
        predicted: the class that this scan alone is told to be.
        regions: how it is shared out, of a volume in template space.
        relevance: what is positive of it, scaled to its largest; None if it does not
            lie as others do.
        picture: the slice below it; None of a volume.
    """

    row: dict[str, Any]
    predicted: str
    regions: list[dict[str, Any]] | None
    relevance: Float32[np.ndarray, "*space"] | None
    picture: Float32[np.ndarray, "*space"] | None


def made_of(one: Explanation, *, picture: str = "", volume: str = "") -> Made:
    """Return what is left of a map.

    Args:
        one: the map.
        picture: name of its file.
        volume: likewise, if it has one.
    """
    regions, relevance, below = None, None, None
    if one.prepared is not None:
        relevance, below = one.prepared.relevance, one.prepared.picture
    elif one.relevance is not None and one.in_template:
        template = load_template()
        regions = [asdict(part) for part in by_region(one.relevance, template)]
        relevance = np.clip(on_template(one.relevance, template), 0, None)
        relevance /= max(float(relevance.max()), 1e-12)
    return Made(
        row=one.to_dict() | {"picture": picture, "volume": volume},
        predicted=one.predicted,
        regions=regions,
        relevance=relevance,
        picture=below,
    )
