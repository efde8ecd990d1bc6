from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import adjusted_rand_score

from vit_dementia.audit.contraction import contract

graphs = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda p: p[0] < p[1]),
    unique=True,
    min_size=1,
)


@given(graphs, st.integers(0, 2**32 - 1))
def test_without_objections_groups_are_connected_parts(pairs, seed) -> None:
    ends = np.array(pairs)
    weight = np.random.default_rng(seed).uniform(0.1, 1, len(ends))
    graph = coo_array((weight, (ends[:, 0], ends[:, 1])), shape=(10, 10))
    parts = connected_components(graph, directed=False)[1]
    assert adjusted_rand_score(parts, contract(10, ends, weight)) == 1


@given(graphs, st.integers(0, 2**32 - 1))
def test_nothing_is_left_that_speaks_for_joining(pairs, seed) -> None:
    ends = np.array(pairs)
    weight = np.random.default_rng(seed).normal(size=len(ends))
    groups = contract(10, ends, weight)
    left: dict[tuple[int, int], float] = {}
    for one, other, w in zip(
        groups[ends[:, 0]], groups[ends[:, 1]], weight, strict=True
    ):
        key = (min(one, other), max(one, other))
        left[key] = left.get(key, 0) + w
    assert all(total <= 1e-9 for key, total in left.items() if key[0] != key[1])


def test_one_false_link_is_outweighed() -> None:
    pairs = np.array([[0, 1], [2, 3], [0, 2], [1, 3], [1, 2]])
    evidence = np.array([5.0, 5.0, 1.0, -0.7, -0.7])
    assert contract(4, pairs, evidence).tolist() == [0, 0, 1, 1]
