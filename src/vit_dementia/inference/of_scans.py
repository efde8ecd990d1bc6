"""From what networks say of slices to what a model says of scans.

Shapes: ``n`` scans of ``s`` slices, ``k`` classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from vit_dementia.evaluation.slice_weights import slice_weights, weighted_means
from vit_dementia.inference.forward import softmax
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.preparation.spec import rows_per_scan


@dataclass(frozen=True)
class OfScans:
    """What a model says of scans, mended.

    Attributes:
        shares: how much each slice counts in the visit; None: all count the same.
    """

    probabilities: Float[np.ndarray, "n k"]
    shares: Float[np.ndarray, "n s"] | None

    @property
    def weights(self) -> Float[np.ndarray, " n"] | None:
        """Return how much each scan counts in its visit."""
        return None if self.shares is None else self.shares.sum(axis=1)

    def shares_of(self, names: Sequence[str]) -> dict[str, list[float]]:
        """Return the shares of each scan by its name; nothing if all count the same."""
        if self.shares is None:
            return {}
        return dict(zip(names, self.shares.tolist(), strict=True))

    @classmethod
    def together(cls, each: Sequence[OfScans]) -> OfScans:
        """Return the mean of models; what it says of a visit is the mean of theirs."""
        probabilities = [one.probabilities for one in each]
        shares = [one.shares for one in each if one.shares is not None]
        if not shares:
            return cls(np.mean(probabilities, axis=0), None)
        weights = np.stack([one.sum(axis=1) for one in shares])
        total = (weights[:, :, None] * probabilities).sum(axis=0)
        mean = total / weights.sum(axis=0)[:, None]
        return cls(mean.clip(0, 1), np.mean(shares, axis=0))


def by_scan(
    model: SavedModel,
    said: Sequence[Sequence[Sequence[float]]],
    visits: Int[np.ndarray, " n"],
) -> OfScans:
    """Return what is made of the rows of each scan: of several slices their mean."""
    count, k = rows_per_scan(model.preprocessing), len(model.classes)
    rows = np.array(said, np.float32).reshape(-1, k + model.weighs_slices)
    mended = model.calibration.scaling(softmax(rows[:, :k])).reshape(-1, count, k)
    if not model.weighs_slices:
        return OfScans(mended.mean(axis=1), None)
    weights = slice_weights(rows[:, k], np.repeat(visits, count))
    scan = np.repeat(np.arange(len(visits)), count)
    means = weighted_means(mended.reshape(-1, k), weights, scan)
    return OfScans(means, weights.reshape(-1, count))
