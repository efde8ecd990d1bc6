"""How good the network is on people it does not learn from, after each epoch.

Shapes: ``m`` slices, ``k`` classes, ``q`` = ``k`` and a score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import nn

from vit_dementia.evaluation.metrics import balanced_accuracy
from vit_dementia.evaluation.slice_weights import slice_weights, weighted_means
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

    Where slices are pooled by attention, each is asked what its visit says, as in
    training, and a participant's probability is the mean over visits.

    Accuracies are None where the goal of the training knows no right answer.
    """

    loss: float
    accuracy: float | None = None
    balanced_accuracy: float | None = None


def score_held_out(
    model: nn.Module,
    feed: Feed,
    material: Material,
    role: str,
    *,
    by_visit: bool = False,
) -> HeldOut | None:
    """Return the scores on a role's slices, or None if it has none.

    Args:
        model: the network of the feed.
        feed: that gives rows.
        material: with labels.
        role: of the split.
        by_visit: whether slices are pooled by the scores that stand behind the logits.
    """
    rows = material.rows(role)
    if not len(rows):
        return None
    logits, labels = feed.logits(model, rows), material.labels[rows]
    weights = np.ones(len(rows))
    if by_visit:
        logits, weights = _of_visits(logits, material.visits[rows])
    probabilities = softmax(logits)
    unit = "participant" if material.cohort.participants_known else "image"
    names = np.array(material.cohort.unit_ids(unit))[rows]
    _, first, group = np.unique(names, return_index=True, return_inverse=True)
    pooled = np.zeros((len(first), probabilities.shape[1]))
    # The largest mean is the largest sum.
    np.add.at(pooled, group, weights[:, None] * probabilities)
    return HeldOut(
        loss=mean_cross_entropy(logits, labels),
        accuracy=float(np.mean(logits.argmax(axis=1) == labels)),
        balanced_accuracy=balanced_accuracy(labels[first], pooled.argmax(axis=1)),
    )


def _of_visits(
    rows: Float[np.ndarray, "m q"], visits: Int[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, "m k"], Float[np.ndarray, " m"]]:
    """Return what the visit of each slice says, as logits, and the slice's weight."""
    _, visit = np.unique(visits, return_inverse=True)
    weights = slice_weights(rows[:, -1], visit)
    means = weighted_means(softmax(rows[:, :-1]), weights, visit)
    return np.log(np.maximum(means, np.finfo(np.float64).tiny))[visit], weights


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
