from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from vit_dementia.audit.evidence import calibrate

STRANGERS, SPREAD = 0.5, 0.05  # in Fisher's z


def chains(people: int, slices: int, *, seed: int = 0):
    """Return all pairs of people's slices; far apart in a head, less than strangers."""
    rng = np.random.default_rng(seed)
    who, place = np.divmod(np.arange(people * slices), slices)
    pairs = np.array(list(combinations(range(len(who)), 2)))
    apart = np.abs(np.subtract(*place[pairs].T))
    own = np.select([apart == 1, apart == 2], [1.5, 1.0], 0.4)
    same = who[pairs[:, 0]] == who[pairs[:, 1]]
    height = np.where(same, own, STRANGERS) + rng.normal(0, SPREAD, len(pairs))
    return len(who), pairs, np.tanh(height).astype(np.float32), same


@pytest.mark.parametrize("people", [2, 8])
def test_slices_of_one_head_are_no_strangers_however_few_people_there_are(
    people,
) -> None:
    count, pairs, likeness, _ = chains(people, 24)
    found = calibrate(count, pairs, likeness)
    # The worse half of strangers is asked, which lies a little below them all.
    assert found.strangers == pytest.approx(STRANGERS, abs=1.2 * SPREAD)
    assert found.spread < 2 * SPREAD
    assert found.sees_neighbors
    assert found.neighbors == pytest.approx(1.5, abs=2 * SPREAD)


def test_evidence_is_for_next_slices_and_against_strangers() -> None:
    count, pairs, likeness, same = chains(4, 16)
    found = calibrate(count, pairs, likeness)
    evidence = found.evidence(found.excess(likeness))
    assert (evidence[~same] < 0).all()
    assert (evidence[likeness > np.tanh(1.3)] > 0).all()


def test_without_next_slices_only_copies_would_count() -> None:
    count, pairs, likeness, same = chains(12, 1)
    assert not same.any()
    found = calibrate(count, pairs, likeness)
    assert not found.sees_neighbors
    assert (found.evidence(found.excess(likeness)) < 0).all()
