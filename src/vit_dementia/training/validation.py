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

    Accuracies are None where the goal of the training knows no right answer.
    """

    loss: float
    accuracy: float | None = None
    balanced_accuracy: float | None = None


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

    Chosen by balanced accuracy on the validation part, the lower loss among equals, or
    by the loss alone where there is no such score; without a validation part it is the
    last epoch.
    """

    epoch: int = 0
    balanced_accuracy: float | None = None
    loss: float | None = None

    def is_beaten_by(self, found: HeldOut | None) -> bool:
        """Say whether an epoch with these scores is kept instead."""
        if found is None or self.loss is None:
            return True
        ours, theirs = self.balanced_accuracy or 0.0, found.balanced_accuracy or 0.0
        return (theirs, -found.loss) > (ours, -self.loss)

    def replaced_by(self, found: HeldOut | None, *, epoch: int) -> Best:
        """Return the record of the epoch that is kept from now on."""
        if found is None:
            return Best(epoch)
        return Best(epoch, found.balanced_accuracy, found.loss)

    def sentence(self) -> str:
        """Say which epoch is kept and why."""
        if self.loss is None:
            return (
                f"kept: the last epoch, {self.epoch} (no validation part to choose by)"
            )
        score = f"loss {self.loss:.4f}"
        if self.balanced_accuracy is not None:
            score = f"balanced accuracy {self.balanced_accuracy:.3f}"
        return f"kept: epoch {self.epoch}, validation {score}"
