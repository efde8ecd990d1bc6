"""How wrong the logits of a slice are, given how much it belongs to each class.

Both losses are proper: nothing lowers their mean more than the true probabilities, so
that softmax is read as before, whichever trained the network.

The ordinal loss is the sum over the steps between neighboring classes of the
cross-entropy of "worse than this?", as in Niu et al. 2016 (Ordinal Regression with
Multiple Output CNN, CVPR 2016, Eq. 5 with equal importances). There every step has an
output of its own, and their answers may contradict one another; here each answer is the
sum of the softmax over the worse classes, so none can, and the network stays one that
every other library opens.

Where slices are pooled by attention, a slice answers with what its whole visit says
(see ``of_visits``), and either loss is that of the visit.

Shapes: ``b`` slices, ``k`` classes, ``q`` = ``k`` and a score.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


@runtime_checkable
class Loss(Protocol):
    """Give each slice's loss."""

    def __call__(
        self,
        logits: Float[Tensor, "b k"],
        targets: Float[Tensor, "b k"],
        class_weights: Float[Tensor, " k"],
    ) -> Float[Tensor, " b"]:
        """Return the losses; the targets of a slice sum to 1."""


def targets_of(
    labels: Int[Tensor, " b"], num_classes: int, *, label_smoothing: float = 0.0
) -> Float[Tensor, "b k"]:
    """Return how much each slice belongs to each class: its label, spread a little.

    >>> import torch
    >>> targets_of(torch.tensor([1]), 2, label_smoothing=0.5).tolist()
    [[0.25, 0.75]]
    """
    classes = torch.arange(num_classes, device=labels.device)
    sharp = (labels[:, None] == classes).float()  # one_hot reads two numbers back
    return sharp * (1 - label_smoothing) + label_smoothing / num_classes


def cross_entropy(
    logits: Float[Tensor, "b k"],
    targets: Float[Tensor, "b k"],
    class_weights: Float[Tensor, " k"],
) -> Float[Tensor, " b"]:
    """Return minus the logarithm of the probability of the right class.

    >>> import torch
    >>> two, second = torch.ones(2), torch.tensor([[0.0, 1.0]])
    >>> round(cross_entropy(torch.zeros(1, 2), second, two).item(), 4)
    0.6931
    """
    return nn.functional.cross_entropy(
        logits, targets, weight=class_weights, reduction="none"
    )


def ordinal_cross_entropy(
    logits: Float[Tensor, "b k"],
    targets: Float[Tensor, "b k"],
    class_weights: Float[Tensor, " k"],
) -> Float[Tensor, " b"]:
    """Return the cross-entropies of "worse than class j?" for each j but the last.

    For two classes it is the cross-entropy. A slice weighs as much as its classes.

    >>> import torch
    >>> three, mild = torch.ones(3), torch.tensor([[1.0, 0.0, 0.0]])
    >>> near, far = torch.tensor([[0.0, 9.0, 0.0]]), torch.tensor([[0.0, 0.0, 9.0]])
    >>> bool(
    ...     ordinal_cross_entropy(near, mild, three)
    ...     < ordinal_cross_entropy(far, mild, three)
    ... )
    True
    """
    log_probability = logits.log_softmax(dim=1)
    # Sums of probabilities, as logarithms: up to a class, and beyond it.
    up_to = log_probability.logcumsumexp(dim=1)[:, :-1]
    beyond = log_probability.flip(1).logcumsumexp(dim=1).flip(1)[:, 1:]
    share_up_to = targets.cumsum(dim=1)[:, :-1]
    losses = -(share_up_to * up_to + (1 - share_up_to) * beyond).sum(dim=1)
    return losses * (targets @ class_weights)


def of_visits(
    rows: Float[Tensor, "b q"], visits: Int[Tensor, " b"]
) -> Float[Tensor, "b k"]:
    """Return for each slice the log-probabilities of its visit.

    The visit's probability is sum_s w_s p_s over its slices: p_s the softmax of their
    logits, w_s the softmax of their scores (Ilse, Tomczak & Welling 2018, arXiv
    1802.04712, Eqs. 7 and 8). Softmax leaves logarithms of probabilities as they are,
    so the losses take them for logits.

    Args:
        rows: logits, then the score.
        visits: which visit each slice is of.

    >>> import torch
    >>> two = torch.tensor([[0.0, 0.0, 1.0], [9.9, 0.0, 1.0]])
    >>> of_visits(two, torch.tensor([0, 1])).exp()[0].tolist()
    [0.5, 0.5]
    """
    log_probability, scores = rows[:, :-1].log_softmax(dim=1), rows[:, -1]
    of_others = visits[:, None] != visits
    table = scores.expand(len(rows), -1).masked_fill(of_others, float("-inf"))
    log_weight = table.log_softmax(dim=1)  # row i: of the slices of i's visit
    return (log_weight[:, :, None] + log_probability).logsumexp(dim=1)


LOSSES: dict[str, Loss] = {
    "cross-entropy": cross_entropy,
    "ordinal": ordinal_cross_entropy,
}
