from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from vit_dementia.data.batches import class_weights, epoch_order

people = st.lists(st.sampled_from("abcde"), min_size=1, max_size=40)


@given(people, st.integers(0, 99), st.integers(0, 99))
def test_an_epoch_shows_every_slice_once(units, seed, epoch) -> None:
    labels = np.zeros(len(units), dtype=np.int64)
    order = epoch_order(units, labels, seed=seed, epoch=epoch)
    assert sorted(order.tolist()) == list(range(len(units)))
    again = epoch_order(units, labels, seed=seed, epoch=epoch)
    assert order.tolist() == again.tolist()


@given(people, st.integers(1, 5), st.integers(0, 99))
def test_no_participant_gives_more_than_their_share(units, count, epoch) -> None:
    labels = np.zeros(len(units), dtype=np.int64)
    order = epoch_order(
        units, labels, seed=0, epoch=epoch, slices_per_participant=count
    )
    shown = Counter(units[position] for position in order)
    assert shown == {who: min(count, held) for who, held in Counter(units).items()}
    assert len(set(order.tolist())) == len(order)


def test_other_epochs_show_other_slices() -> None:
    units, labels = ["a"] * 32, np.zeros(32, dtype=np.int64)
    shown = [
        frozenset(
            epoch_order(
                units, labels, seed=0, epoch=epoch, slices_per_participant=4
            ).tolist()
        )
        for epoch in range(8)
    ]
    assert len(set(shown)) == 8


def test_balanced_sampling_draws_rare_classes_as_often_as_common_ones() -> None:
    labels = np.array([0] * 900 + [1] * 100)
    order = epoch_order(
        [str(n) for n in range(1000)], labels, seed=0, epoch=0, sampling="balanced"
    )
    assert len(order) == 1000
    assert 430 < (labels[order] == 1).sum() < 570


@given(st.lists(st.integers(0, 3), min_size=4, max_size=50))
def test_class_weights_are_scikit_learns(labels) -> None:
    values = np.array(labels)
    present = np.unique(values)
    expected = compute_class_weight("balanced", classes=present, y=values)
    found = class_weights(values, 4)
    assert [found[index] for index in present] == pytest.approx(expected.tolist())
    assert all(found[index] == 0 for index in set(range(4)) - set(present.tolist()))
