"""How often participants who were told about the same were on the positive side.

A calibration curve, kept with the model: whoever is told 70 % also hears of how many
participants with a similar probability it was true, and how sure that share is. Of one
model they are its validation participants, on whom the scaling of the probabilities was
fitted, so the shares flatter a little; of a cross-validation everybody, each as told by
the model that never saw them.

Shapes: n participants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from vit_dementia.evaluation.calibration import equal_bins
from vit_dementia.evaluation.intervals import wilson

FEWEST = 10  # participants in a bin: fewer tell next to nothing
_MOST_BINS = 10


@dataclass(frozen=True)
class ObservedBin:
    """Participants whose probability lay in ``(above, up_to]``; the first takes 0.

    Attributes:
        num_positive: those of them who were on the positive side.
    """

    above: float
    up_to: float
    num_positive: int
    num_participants: int

    def to_dict(self) -> dict[str, Any]:
        """Return the share and its interval (Wilson, 95 %) as JSON values.

        >>> told = ObservedBin(0.5, 1.0, 8, 10).to_dict()
        >>> told["share"], round(told["low"], 4), round(told["high"], 4)
        (0.8, 0.4902, 0.9433)
        """
        interval = wilson(self.num_positive, self.num_participants)
        return {
            "above": self.above,
            "up_to": self.up_to,
            "share": self.num_positive / self.num_participants,
            "low": interval.low,
            "high": interval.high,
            "num_positive": self.num_positive,
            "n_participants": self.num_participants,
        }

    @classmethod
    def from_dict(cls, told: Any) -> ObservedBin:
        """Read what `to_dict` returned.

        Raises:
            ValueError: if the numbers cannot be.
        """
        read = cls(
            float(told["above"]),
            float(told["up_to"]),
            int(told["num_positive"]),
            int(told["n_participants"]),
        )
        possible = 0 <= read.num_positive <= read.num_participants > 0
        if not (0 <= read.above <= read.up_to <= 1 and possible):
            raise ValueError("a bin of probabilities holds numbers that cannot be")
        return read


def observed_bins(
    is_positive: Bool[np.ndarray, " n"], score: Float[np.ndarray, " n"]
) -> tuple[ObservedBin, ...]:
    """Return bins of about as many participants each, from 0 to 1; none for too few.

    >>> [one.up_to for one in observed_bins(np.arange(20) > 9, np.arange(20) / 20)]
    [0.475, 1.0]
    """
    count = min(len(score) // FEWEST, _MOST_BINS)
    if not count:
        return ()
    chosen = equal_bins(score, num_bins=count)
    tops = [float(score[mine].max()) for mine in chosen]
    bottoms = [float(score[mine].min()) for mine in chosen]
    edges = [(top + low) / 2 for top, low in zip(tops, bottoms[1:], strict=False)]
    return tuple(
        ObservedBin(above, up_to, int(is_positive[mine].sum()), int(mine.sum()))
        for above, up_to, mine in zip([0.0, *edges], [*edges, 1.0], chosen, strict=True)
    )


def bin_of(bins: Sequence[ObservedBin], score: float) -> ObservedBin | None:
    """Return the bin of a probability; None if there are no bins.

    >>> bins = (ObservedBin(0.0, 0.5, 1, 10), ObservedBin(0.5, 1.0, 8, 10))
    >>> bin_of(bins, 0.5).num_positive, bin_of(bins, 0.6).num_positive
    (1, 8)
    """
    if not bins:
        return None
    tops = [one.up_to for one in bins[:-1]]
    return bins[int(np.searchsorted(tops, score, side="left"))]
