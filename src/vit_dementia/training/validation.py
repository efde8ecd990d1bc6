"""How good the network is on people it does not learn from, after each epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from vit_dementia.evaluation.metrics import balanced_accuracy
from vit_dementia.inference.forward import mean_cross_entropy, softmax
from vit_dementia.training.feed import Feed
from vit_dementia.training.material import Material


@dataclass(frozen=True)
class HeldOut:
    """Scores on one part of the split.

    Attributes:
        loss: mean cross-entropy over slices.
        accuracy: share of slices answered correctly, as in the historical curves.
        balanced_accuracy: mean share of each class answered correctly, by participant
            (mean probability over their slices) where participants are known.
    """

    loss: float
    accuracy: float
    balanced_accuracy: float


def score_held_out(
    model: nn.Module, feed: Feed, material: Material, role: str
) -> HeldOut | None:
    """Return the scores on a role's slices, or None if it has none."""
    rows = material.rows(role)
    if not len(rows):
        return None
    logits = feed.logits(model, rows)
    probabilities, labels = softmax(logits), material.labels[rows]
    unit = "participant" if material.cohort.participants_known else "image"
    names = np.array(material.cohort.unit_ids(unit))[rows]
    _, first, group = np.unique(names, return_index=True, return_inverse=True)
    pooled = np.zeros((len(first), probabilities.shape[1]))
    np.add.at(pooled, group, probabilities)  # the largest mean is the largest sum
    return HeldOut(
        loss=mean_cross_entropy(logits, labels),
        accuracy=float(np.mean(logits.argmax(axis=1) == labels)),
        balanced_accuracy=balanced_accuracy(labels[first], pooled.argmax(axis=1)),
    )


@dataclass(frozen=True)
class Best:
    """The epoch whose weights are kept; ``epoch`` is 0 before the first.

    Chosen by balanced accuracy on the validation part, the lower loss among equals;
    without a validation part it is the last epoch.
    """

    epoch: int = 0
    balanced_accuracy: float = -1.0
    loss: float = 0.0

    def is_beaten_by(self, found: HeldOut | None) -> bool:
        """Say whether an epoch with these scores is kept instead."""
        if found is None:
            return True
        return (found.balanced_accuracy, -found.loss) > (
            self.balanced_accuracy,
            -self.loss,
        )

    def replaced_by(self, found: HeldOut | None, *, epoch: int) -> Best:
        """Return the record of the epoch that is kept from now on."""
        if found is None:
            return Best(epoch)
        return Best(epoch, found.balanced_accuracy, found.loss)

    def sentence(self) -> str:
        """Say which epoch is kept and why."""
        if self.balanced_accuracy < 0:
            return (
                f"kept: the last epoch, {self.epoch} (no validation part to choose by)"
            )
        return (
            f"kept: epoch {self.epoch}, validation balanced accuracy "
            f"{self.balanced_accuracy:.3f}"
        )
