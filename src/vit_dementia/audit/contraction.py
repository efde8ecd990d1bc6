"""Groups from evidence for and against each pair: greedy additive edge contraction.

Keuper et al. 2015 (arXiv 1505.06973), algorithm 1: the two groups with the strongest
evidence for each other are joined, evidence adds up, until none is left that speaks for
joining. One false look-alike is outweighed by all that speaks against it.

Shapes: n images, p pairs.
"""

from __future__ import annotations

import heapq

import numpy as np
from jaxtyping import Float, Int


def contract(
    count: int, pairs: Int[np.ndarray, "p 2"], evidence: Float[np.ndarray, " p"]
) -> Int[np.ndarray, " n"]:
    """Return each image's group, numbered in order of first appearance.

    Args:
        count: how many images there are.
        pairs: of images, each once.
        evidence: positive if a pair belongs together, negative if not.

    >>> contract(4, np.array([[0, 1], [1, 2], [0, 2]]), np.array([3.0, 1.0, -2.0]))
    array([0, 0, 1, 2])
    """
    around: list[dict[int, float]] = [{} for _ in range(count)]
    for (one, other), weight in zip(pairs.tolist(), evidence.tolist(), strict=True):
        around[one][other] = around[other][one] = weight
    heap = [
        (-weight, one, other)
        for one, others in enumerate(around)
        for other, weight in others.items()
        if one < other and weight > 0
    ]
    heapq.heapify(heap)
    parent = list(range(count))
    while heap:
        weight, one, other = heapq.heappop(heap)
        if around[one].get(other) != -weight:
            continue  # of a group that is gone, or outdated
        _join(around, heap, one, other)
        parent[other] = one
    return _numbered(parent)


def _join(
    around: list[dict[int, float]],
    heap: list[tuple[float, int, int]],
    one: int,
    other: int,
) -> None:
    del around[one][other]
    for third, weight in around[other].items():
        if third == one:
            continue
        del around[third][other]
        total = around[one].get(third, 0.0) + weight
        around[one][third] = around[third][one] = total
        if total > 0:
            heapq.heappush(heap, (-total, min(one, third), max(one, third)))
    around[other] = {}


def _numbered(parent: list[int]) -> Int[np.ndarray, " n"]:
    roots = []
    for number in range(len(parent)):
        root = number
        while parent[root] != root:
            parent[root] = root = parent[parent[root]]
        roots.append(root)
    number_of: dict[int, int] = {}
    return np.array([number_of.setdefault(root, len(number_of)) for root in roots])
