"""How much of a map lies outside the head: nothing there can be a disease.

A model that has learned a border, a marking or the scanner's noise looks there.

Shapes: g patches of the grid, written as its sides where they matter; ``space`` the
sides of a slice or a volume.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

from vit_dementia.explanation.methods import Method

LARGEST: Mapping[Method, float] = {
    "occlusion": 0.1,
    "relevance": 0.5,
    "grad-cam": 0.4,
    "rollout": 0.45,
    "integrated-gradients": 0.1,
    "attention": 0.4,
}
"""Share outside the head that a clean map may have: what 95 % of the slices of clean
phantoms stay below (docs/tables/explanations.tsv), and a tenth more."""

LARGEST_MEDIAN: Mapping[Method, float] = {
    "occlusion": 0.1,
    "relevance": 0.42,
    "grad-cam": 0.26,
    "rollout": 0.4,
    "integrated-gradients": 0.1,
    "attention": 0.34,
}
"""The same of the median over several scans: the largest that a model of clean phantoms
has, and a tenth more."""

_SEVERAL = 5


def largest_of_clean(method: Method, num_scans: int) -> float:
    """Return what the median share outside the head of so many scans may be.

    >>> largest_of_clean("relevance", 1), largest_of_clean("relevance", 8)
    (0.5, 0.42)
    """
    return (LARGEST_MEDIAN if num_scans >= _SEVERAL else LARGEST)[method]


def share_outside(
    relevance: Float[np.ndarray, "*grid"], head: Bool[np.ndarray, "*space"]
) -> float:
    """Return the share of the positive relevance outside the head, in [0, 1].

    A patch that the head fills in part counts for the part that it does not fill; of a
    patch that it touches nothing counts, since the edge of the head is anatomy.

    Args:
        relevance: of each patch, in the shape of their grid.
        head: which pixels are head.

    >>> head = np.array([[True, False, False, False]])
    >>> share_outside(np.array([[1.0, 3.0]]), head)
    0.75
    """
    touched: Bool[np.ndarray, ...] = head
    for axis, count in enumerate(relevance.shape):
        side = head.shape[axis] // count
        cut = (*touched.shape[:axis], count, side, *touched.shape[axis + 1 :])
        touched = np.asarray(touched.reshape(cut).any(axis=axis + 1))
    positive = np.clip(relevance, 0, None)
    total = positive.sum()
    return float(positive[~touched].sum() / total) if total > 0 else 0.0
