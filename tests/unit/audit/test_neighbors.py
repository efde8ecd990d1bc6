from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

from vit_dementia.audit import neighbors
from vit_dementia.audit.fingerprints import fingerprints
from vit_dementia.audit.neighbors import candidates, nearest


def features(num=700, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num, 6)).astype(np.float32)


def scikit(rows, count) -> np.ndarray:
    found = NearestNeighbors(n_neighbors=count + 1).fit(rows)
    return found.kneighbors(rows, return_distance=False)[:, 1:]


def test_few_rows_are_searched_exactly() -> None:
    np.testing.assert_array_equal(nearest(features(), count=5), scikit(features(), 5))


def test_cells_find_nearly_all(monkeypatch) -> None:
    monkeypatch.setattr(neighbors, "_EXACT", 0)
    monkeypatch.setattr(neighbors, "_CELL", 30)
    found = nearest(features(), count=5)
    share = [
        len({*a} & {*b}) / 5 for a, b in zip(found, scikit(features(), 5), strict=True)
    ]
    assert np.mean(share) > 0.93


def test_too_few_rows_leave_places_empty() -> None:
    found = nearest(features(3), count=5)
    assert (np.sort(found, axis=1)[:, :3] == -1).all()
    assert (found != np.arange(3)[:, None]).all()


def test_a_single_image_has_no_candidates() -> None:
    one = np.random.default_rng(0).integers(0, 256, (1, 32, 32), dtype=np.uint8)
    pairs, mutual = candidates(fingerprints(one), count=6)
    assert len(pairs) == len(mutual) == 0


def test_each_pair_of_candidates_comes_once(slab_pictures) -> None:
    pairs, mutual = candidates(fingerprints(slab_pictures.thumbnails), count=6)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    assert set(pairs.ravel().tolist()) == set(range(len(slab_pictures)))
    # Each image asks for six; what two find of each other is one pair for two answers.
    assert len(pairs) + mutual.sum() == 6 * len(slab_pictures)
