"""The slices of one person as a chain, and kinds of views that chains never connect.

Slices are put in order by the second eigenvector of their graph's Laplacian (Atkins,
Boman & Hendrickson 1998): like slices come to lie side by side.

Shapes: n images, p pairs.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

_LONGEST = 1000  # more images of one person are not put in order
_LIKE = 0.0  # excess above which images of different people show the same height
_A_KIND = 0.05  # share of the images that is a kind of view of its own


def order(
    groups: Int[np.ndarray, " n"],
    pairs: Int[np.ndarray, "p 2"],
    evidence: Float[np.ndarray, " p"],
) -> Int[np.ndarray, " n"]:
    """Return each image's place in its group, from 0; -1 if it is alone.

    Which end is the first does not show, and is arbitrary.

    >>> pairs = np.array([[0, 1], [0, 2]])
    >>> places = order(np.zeros(3, int), pairs, np.array([3.0, 5.0]))
    >>> int(places[0]), abs(int(places[1] - places[2]))
    (1, 2)
    """
    places = np.full(len(groups), -1, dtype=np.int64)
    inside = (groups[pairs[:, 0]] == groups[pairs[:, 1]]) & (evidence > 0)
    graph = square(len(groups), pairs[inside], evidence[inside])
    by_group = np.argsort(groups, kind="stable")
    for rows in np.split(by_group, np.cumsum(np.bincount(groups))[:-1]):
        if 1 < len(rows) <= _LONGEST:
            weight = graph[rows, :][:, rows].toarray()
            laplacian = np.diag(weight.sum(axis=1)) - weight
            along = np.linalg.eigh(laplacian)[1][:, 1]
            places[rows[np.argsort(along, kind="stable")]] = np.arange(len(rows))
    return places


def views(
    count: int, pairs: Int[np.ndarray, "p 2"], excess: Float[np.ndarray, " p"]
) -> Int[np.ndarray, " n"]:
    """Return the kind of view of each image, from 0: kinds have no look-alikes.

    -1 stands where so few are alike that they are no kind.

    Args:
        count: how many images there are.
        pairs: of images and their candidates.
        excess: by how many spreads each pair is more alike than strangers.

    >>> views(4, np.array([[0, 2], [1, 3], [0, 1]]), np.array([1.0, 2.0, -3.0]))
    array([0, 1, 0, 1])
    """
    like = excess > _LIKE
    graph = square(count, pairs[like], np.ones(int(like.sum())))
    part = connected_components(graph, directed=False)[1]
    large = np.flatnonzero(np.bincount(part) >= max(2, _A_KIND * count))
    number = np.full(count, -1, dtype=np.int64)
    number[large] = np.arange(len(large))
    return number[part]


def square(
    count: int, pairs: Int[np.ndarray, "p 2"], weight: Float[np.ndarray, " p"]
) -> csr_matrix:
    """Return pairs as a symmetric sparse matrix."""
    small = pairs.astype(np.int32)  # scipy's graphs take no other
    ends = (
        np.concatenate([small[:, 0], small[:, 1]]),
        np.concatenate([small[:, 1], small[:, 0]]),
    )
    both = np.concatenate([weight, weight])
    return csr_matrix((both, ends), shape=(count, count))
