"""How well a map finds a place that is known, as on phantoms, where it was put.

- Pointing game: Zhang et al. 2018 (arXiv 1608.00507), Sec. 4.1.
- Relevance mass accuracy: Arras et al. 2022 (arXiv 2003.07258), Sec. 3.

Shapes: h w pixels (or d h w voxels), written as ``space``.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from sklearn.metrics import roc_auc_score

Relevance = Float[np.ndarray, "*space"]
Mask = Bool[np.ndarray, "*space"]


def hits(relevance: Relevance, mask: Mask) -> bool:
    """Say whether the most relevant pixel lies in the mask (pointing game).

    >>> hits(np.array([[0.1, 0.9]]), np.array([[False, True]]))
    True
    """
    return bool(mask.flat[int(np.argmax(relevance))])


def mass_inside(relevance: Relevance, mask: Mask) -> float:
    """Return the share of the positive relevance inside the mask, in [0, 1].

    >>> mass_inside(np.array([[1.0, 3.0, -9.0]]), np.array([[False, True, False]]))
    0.75
    """
    positive = np.clip(relevance, 0, None)
    total = positive.sum()
    return float(positive[mask].sum() / total) if total > 0 else 0.0


def auroc_of_place(relevance: Relevance, mask: Mask, head: Mask) -> float:
    """Return how well relevance tells pixels of the mask from the rest of the head.

    0.5 for a random map. The background is left out: it is too easy to get right.

    >>> relevance = np.array([[0.0, 0.2, 0.9]])
    >>> mask, head = np.array([[False, False, True]]), np.ones((1, 3), bool)
    >>> auroc_of_place(relevance, mask, head)
    1.0

    Raises:
        ValueError: if the mask covers none or all of the head.
    """
    inside = mask[head]
    if inside.all() or not inside.any():
        raise ValueError("mask: needs a part of the head, found none or all of it")
    return float(roc_auc_score(inside, relevance[head]))
