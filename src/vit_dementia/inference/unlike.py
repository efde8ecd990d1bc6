"""What becomes of a scan that is unlike those of a model's training.

Shapes: ``r`` rows that a network reads of a scan, ``c`` channels, ``space`` the two
sides of a slice or the three of a volume.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from vit_dementia.errors import RefusedError
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.preparation.likeness import OTHER_GRAYS
from vit_dementia.quality.verdict import Quality

OTHER_SCANNER = (
    "its gray values lie otherwise than in the scans of the training: T1-weighted, but "
    "of another scanner or sequence, which the model was not calibrated for"
)


class Away(NamedTuple):
    """How far a scan is from those of the training, and whether it may be answered.

    Attributes:
        distance: 1 is the limit; None: nobody kept what they look like.
        doubt: why its answer is to be none; empty if there is no doubt.
    """

    distance: float | None
    doubt: str = ""


def refuse_unlike(
    model: SavedModel,
    path: Path,
    rows: UInt8[np.ndarray, "r c *space"],
    quality: Quality | None = None,
) -> Away:
    """Say how far a scan is from those of the training, where it may be answered.

    Gray values that lie otherwise are a doubt, and no ground to refuse it, where
    quality control saw on the template that they are those of T1.

    Args:
        model: that is to answer.
        path: of the scan, for the message.
        rows: what the network reads of it.
        quality: what quality control found, which passed it; None: nobody asked.

    Raises:
        RefusedError: with the reason, if it looks like no scan of the training.
    """
    if model.likeness is None:
        return Away(None)
    judged = model.likeness.judge(rows)
    distance = max(one.distance for one in judged)
    reasons = [one.reason for one in judged if one.reason]
    if not reasons:
        return Away(distance)
    limit = f"(distance {distance:.2f}, limit 1)"
    is_t1 = quality is not None and quality.tells_contrast
    if is_t1 and {*reasons} == {OTHER_GRAYS}:
        return Away(distance, f"{OTHER_SCANNER} {limit}")
    raise RefusedError(f"{path}: {reasons[0]} {limit}")
