"""Which slices stand in which batch: a pure function of seed and epoch.

Nothing is remembered from one epoch to the next, so a run that was killed finds its
place again by two numbers. Shapes: ``n`` training slices, ``k`` slices of one epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Int


def epoch_order(
    units: Sequence[str],
    labels: Int[np.ndarray, " n"],
    *,
    seed: int,
    epoch: int,
    slices_per_participant: int = 0,
    sampling: Literal["as-is", "balanced"] = "as-is",
) -> Int[np.ndarray, " k"]:
    """Return the positions of the slices of one epoch, in the order they are shown.

    Args:
        units: whose slice each one is.
        slices_per_participant: how many are drawn from each, at most; 0: all.
        sampling: ``balanced`` draws classes equally often, with repeats.

    >>> epoch_order(["a", "a", "b"], np.array([0, 0, 1]), seed=0, epoch=0).tolist()
    [2, 0, 1]
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(units))
    if slices_per_participant > 0:
        order = _first_of_each(order, units, slices_per_participant)
    if sampling == "balanced":
        drawn = labels[order]
        frequency = np.bincount(drawn)
        weight = 1.0 / frequency[drawn]
        order = rng.choice(order, size=len(order), p=weight / weight.sum())
    return order


def _first_of_each(
    order: Int[np.ndarray, " n"], units: Sequence[str], count: int
) -> Int[np.ndarray, " k"]:
    """Keep the first ``count`` positions of each unit, in their order."""
    taken: dict[str, int] = {}
    kept = []
    for position in order:
        unit = units[position]
        if taken.get(unit, 0) < count:
            taken[unit] = taken.get(unit, 0) + 1
            kept.append(position)
    return np.array(kept, dtype=order.dtype)


def class_weights(labels: Int[np.ndarray, " n"], num_classes: int) -> list[float]:
    """Return a weight for each class, inverse to its share; the mean over slices is 1.

    A class without a slice weighs 0: nothing is learned about it.

    >>> class_weights(np.array([0, 0, 0, 1]), 2)
    [0.6666666666666666, 2.0]
    """
    counts = np.bincount(labels, minlength=num_classes)
    present = int(np.count_nonzero(counts))
    return [
        len(labels) / (present * count) if count else 0.0 for count in counts.tolist()
    ]


def effective_weights(
    units: Sequence[str],
    labels: Int[np.ndarray, " n"],
    num_classes: int,
    *,
    beta: float,
) -> list[float]:
    """Return a weight for each class, inverse to what its people add; the mean is 1.

    The n-th person of a class adds beta to the power of n - 1: the effective number of
    samples of Cui et al. 2019 (arXiv 1901.05555, Eq. 2). Slices of one person count
    once, as they are near-copies.

    >>> effective_weights(["a", "b", "b", "c"], np.array([0, 0, 0, 1]), 2, beta=0.0)
    [1.0, 1.0]
    """
    people = {(unit, label) for unit, label in zip(units, labels.tolist(), strict=True)}
    counts = np.bincount([label for _, label in people], minlength=num_classes)
    weights = [(1 - beta) / (1 - beta**n) if n else 0.0 for n in counts.tolist()]
    mean = np.array(weights)[labels].mean()
    return [float(weight / mean) for weight in weights]
