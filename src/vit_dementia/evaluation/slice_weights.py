"""How much each slice of a visit counts: attention over slices, in plain numbers.

A network trained with ``train.slice_pooling attention`` gives each slice a score beside
its logits. The weights of the slices of one visit are the softmax of their scores, and
the visit's probability is the weighted mean of theirs (Ilse, Tomczak & Welling 2018,
arXiv 1802.04712, Eqs. 7 and 8, with the probabilities of slices for their embeddings).

Shapes: n slices, g groups (visits, scans or participants), k numbers of each.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def slice_weights(
    scores: Float[np.ndarray, " n"], visits: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Return the softmax of the scores within each visit, in float64; all above 0.

    >>> slice_weights(np.array([2.0, 2.0, 7.0]), np.array([0, 0, 1])).tolist()
    [0.5, 0.5, 1.0]
    """
    highest = np.full(visits.max(initial=-1) + 1, -np.inf)
    np.maximum.at(highest, visits, scores)
    powers = np.exp(scores.astype(np.float64) - highest[visits])
    weights = powers / np.bincount(visits, powers)[visits]
    return np.maximum(weights, np.finfo(np.float64).tiny)


def weighted_means(
    values: Float[np.ndarray, "n k"],
    weights: Float[np.ndarray, " n"],
    group: Int[np.ndarray, " n"],
) -> Float[np.ndarray, "g k"]:
    """Return the weighted mean of each group, never beyond the values it is of.

    >>> three = np.array([[0.25], [0.75], [0.5]])
    >>> weighted_means(three, np.array([3.0, 1.0, 1.0]), np.array([0, 0, 1])).tolist()
    [[0.375], [0.5]]
    """
    num_groups = group.max(initial=-1) + 1
    total = np.zeros((num_groups, values.shape[1]))
    least, most = np.full_like(total, np.inf), np.full_like(total, -np.inf)
    np.add.at(total, group, weights[:, None] * values)
    np.minimum.at(least, group, values)
    np.maximum.at(most, group, values)
    mean = total / np.bincount(group, weights, num_groups)[:, None]
    return np.clip(mean, least, most)
