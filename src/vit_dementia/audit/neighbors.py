"""Which images may show the same person: a few candidates for each, found quickly.

Images are sorted into cells (k-means), and each is compared only with the images of
the cells nearest to its own, so that the cost grows with the number of images and not
with its square (an inverted file; Jégou, Douze & Schmid 2011).

Shapes: n images, d features, k neighbors, c cells, p pairs.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int

from vit_dementia.audit.fingerprints import Fingerprints

_DIMENSIONS = 128  # principal components that are searched
_SAMPLE = 4000  # images that they are computed from
_EXACT = 8192  # up to so many images all distances of features are computed
_CELL = 256  # images in a cell, about
_PROBED = 8  # cells that are searched for each image
_BLOCK = 4096  # rows at a time


def candidates(
    prints: Fingerprints, *, count: int, seed: int = 0
) -> tuple[Int[np.ndarray, "p 2"], Bool[np.ndarray, " p"]]:
    """Return pairs of images that are among each other's ``count`` likeliest.

    Each pair comes once, the smaller index first, in order; beside it stands whether
    both found each other, or only one of them the other.
    """
    if len(prints) < 2:
        return np.empty((0, 2), dtype=np.int64), np.empty(0, dtype=np.bool_)
    near = nearest(_components(prints, seed), count=count, seed=seed)
    left = np.repeat(np.arange(len(near)), near.shape[1])
    pairs = np.stack([left, near.ravel()], axis=1)
    pairs = np.sort(pairs[pairs[:, 1] >= 0], axis=1)
    unique, times = np.unique(pairs, axis=0, return_counts=True)
    return unique, times > 1


def nearest(
    features: Float32[np.ndarray, "n d"], *, count: int, seed: int = 0
) -> Int[np.ndarray, "n k"]:
    """Return each row's nearest other rows, the nearest first; -1 where none is left.

    Exact up to 8192 rows; beyond, a neighbor may be missed now and then.

    >>> nearest(np.float32([[0], [1], [5], [7]]), count=1).ravel().tolist()
    [1, 0, 3, 2]
    """
    if len(features) <= _EXACT:
        rows = np.arange(len(features))
        exact: np.ndarray = _among(features, rows, rows, count)[0]
        return exact
    num = len(features)
    best = np.full((num, count), -1, dtype=np.int64)
    gaps = np.full((num, count), np.inf, dtype=np.float32)
    members, asking = _cells(features, seed)
    for own, rows in zip(members, asking, strict=True):
        found, found_gaps = _among(features, rows, own, count)
        both = np.concatenate([best[rows], found], axis=1)
        both_gaps = np.concatenate([gaps[rows], found_gaps], axis=1)
        order = np.argsort(both_gaps, axis=1, kind="stable")[:, :count]
        best[rows] = np.take_along_axis(both, order, axis=1)
        gaps[rows] = np.take_along_axis(both_gaps, order, axis=1)
    return best


def _components(prints: Fingerprints, seed: int) -> Float32[np.ndarray, "n d"]:
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(seed)
    num = len(prints)
    sample = np.sort(rng.choice(num, min(num, _SAMPLE), replace=False))
    strengths = prints.strengths(sample)
    dimensions = min(_DIMENSIONS, *strengths.shape)
    pca = PCA(dimensions, svd_solver="randomized", random_state=seed)
    pca.fit(strengths)
    found: np.ndarray = np.concatenate(
        [
            pca.transform(prints.strengths(np.arange(at, min(at + _BLOCK, num))))
            for at in range(0, num, _BLOCK)
        ]
    )
    return found.astype(np.float32)


def _cells(
    features: Float32[np.ndarray, "n d"], seed: int
) -> tuple[list[Int[np.ndarray, " m"]], list[Int[np.ndarray, " q"]]]:
    """Sort rows into cells; return the rows of each, and those to be compared with it.

    Rows are compared with the cells whose middles are nearest to themselves: somebody
    at the edge of a cell has neighbors on the other side.
    """
    from sklearn.cluster import MiniBatchKMeans

    count = len(features) // _CELL
    means = MiniBatchKMeans(
        count, n_init=1, batch_size=_BLOCK, max_iter=20, random_state=seed
    ).fit(features)
    centers = means.cluster_centers_.astype(np.float32)
    probed = np.concatenate(
        [
            np.argsort(_distances(features[at : at + _BLOCK], centers), axis=1)[
                :, :_PROBED
            ]
            for at in range(0, len(features), _BLOCK)
        ]
    )
    return _rows_of(means.labels_[:, None], count), _rows_of(probed, count)


def _rows_of(cells: Int[np.ndarray, "n q"], count: int) -> list[Int[np.ndarray, " m"]]:
    """Return for each cell the rows that name it."""
    order = np.argsort(cells.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(cells.ravel(), minlength=count))[:-1]
    return np.split(order // cells.shape[1], ends)


def _among(
    features: Float32[np.ndarray, "n d"],
    rows: Int[np.ndarray, " m"],
    pool: Int[np.ndarray, " q"],
    count: int,
) -> tuple[Int[np.ndarray, "m k"], Float32[np.ndarray, "m k"]]:
    """Return the nearest others of a pool for some rows, and how far they are."""
    best = np.full((len(rows), count), -1, dtype=np.int64)
    gaps = np.full((len(rows), count), np.inf, dtype=np.float32)
    kept = min(count, len(pool))
    for at in range(0, len(rows), _BLOCK):
        part = slice(at, at + _BLOCK)
        far = _distances(features[rows[part]], features[pool])
        far[rows[part, None] == pool[None]] = np.inf  # not itself
        first = np.argpartition(far, kept - 1, axis=1)[:, :kept]
        gap = np.take_along_axis(far, first, axis=1)
        order = np.argsort(gap, axis=1, kind="stable")
        gaps[part, :kept] = np.take_along_axis(gap, order, axis=1)
        best[part, :kept] = pool[np.take_along_axis(first, order, axis=1)]
    best[np.isinf(gaps)] = -1
    return best, gaps


def _distances(
    some: Float32[np.ndarray, "m d"], others: Float32[np.ndarray, "q d"]
) -> Float32[np.ndarray, "m q"]:
    """Return squared distances."""
    both = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)
    distances: np.ndarray = both - 2 * (some @ others.T)
    return distances
