"""Cases like this are those that another hand finds, each person once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from vit_dementia.explanation.cases import nearest
from vit_dementia.inference.features import unit


@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 40))
def test_one_scan_a_person_equals_nearest_neighbors(seed, count, people) -> None:
    rng = np.random.default_rng(seed)
    features = unit(rng.normal(size=(people, 6)))
    asked = unit(rng.normal(size=(1, 6)))[0]
    theirs = NearestNeighbors(metric="cosine", algorithm="brute").fit(features)
    distances, places = theirs.kneighbors(asked[None], min(count, people))
    found = nearest(asked, features, [str(i) for i in range(people)], count=count)
    assert [scan for scan, _ in found] == places[0].tolist()
    np.testing.assert_allclose([far for _, far in found], distances[0], atol=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_nobody_comes_twice_and_each_by_their_nearest_scan(seed, count) -> None:
    rng = np.random.default_rng(seed)
    features, asked = unit(rng.normal(size=(30, 4))), unit(rng.normal(size=(1, 4)))[0]
    people = [f"sub-{i % 7}" for i in range(30)]
    found = nearest(asked, features, people, count=count, leave_out="sub-3")
    named = [people[scan] for scan, _ in found]
    assert len(named) == len(set(named)) == count
    assert "sub-3" not in named
    theirs = NearestNeighbors(metric="cosine", algorithm="brute").fit(features)
    distances, places = theirs.kneighbors(asked[None], 30)
    best = dict[str, float]()
    for place, distance in zip(places[0], distances[0], strict=True):
        best.setdefault(people[place], distance)
    best.pop("sub-3")
    assert [far for _, far in found] == pytest.approx(list(best.values())[:count])
