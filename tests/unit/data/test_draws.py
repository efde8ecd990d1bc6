from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vit_dementia.data.draws import Draws, keys_for


def _draws(count: int, seed: int = 0) -> Draws:
    return Draws(keys_for(seed, 3, places=range(count)))


@given(
    places=st.lists(st.integers(0, 10**6), min_size=1, max_size=8, unique=True),
    seed=st.integers(0, 2**32),
    epoch=st.integers(0, 1000),
)
def test_a_slice_draws_alike_in_every_batch(places, seed, epoch) -> None:
    together = Draws(keys_for(seed, epoch, places=places))
    alone = [Draws(keys_for(seed, epoch, places=[place])) for place in places]
    for draw in (
        lambda draws: draws.uniform(-2.0, 3.0, 4),
        lambda draws: draws.normal(1, 3, 3),
        lambda draws: draws.uniform(0.0, 1.0),
    ):
        assert torch.equal(draw(together), torch.cat([draw(one) for one in alone]))


def test_numbers_are_uniform_and_independent_of_one_another() -> None:
    numbers = _draws(200).uniform(0.0, 1.0, 1000).numpy()
    assert numbers.min() >= 0
    assert numbers.max() < 1
    for values in (numbers.ravel(), numbers[:, 0], numbers[7]):
        assert stats.kstest(values, "uniform").pvalue > 1e-3
    slices, steps = np.corrcoef(numbers), np.corrcoef(numbers.T[:200])
    for correlation in (slices, steps):
        others = correlation[~np.eye(len(correlation), dtype=bool)]
        assert np.abs(others).max() < 6 / np.sqrt(min(numbers.shape))


@pytest.mark.parametrize("bit", range(32))
def test_every_bit_is_set_half_of_the_time(bit) -> None:
    bits = (_draws(40)._bits(1000) >> bit & 1).double()
    assert abs(bits.mean() - 0.5) < 5 * 0.5 / np.sqrt(bits.numel())


def test_normal_numbers_are_normal() -> None:
    numbers = _draws(100).normal(1, 31, 31).numpy()
    assert np.isfinite(numbers).all()
    assert stats.kstest(numbers.ravel(), "norm").pvalue > 1e-3
    halves = numbers.reshape(100, -1)[:, :-1].reshape(100, 2, -1)
    assert abs(stats.pearsonr(halves[:, 0].ravel(), halves[:, 1].ravel())[0]) < 0.02


def test_seed_epoch_place_and_what_was_drawn_before_all_count() -> None:
    first = keys_for(0, 0, places=[0])
    others = [
        keys_for(1, 0, places=[0]),
        keys_for(0, 1, places=[0]),
        keys_for(0, 0, places=[1]),
    ]
    found = [Draws(keys).uniform(0.0, 1.0, 8) for keys in (first, *others)]
    draws = Draws(first)
    draws.uniform(0.0, 1.0)
    found.append(draws.uniform(0.0, 1.0, 8))
    for row, one in enumerate(found):
        assert not any(torch.equal(one, other) for other in found[row + 1 :])


def _mixed_by_hand(state: int) -> int:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ state >> shift) * factor % 2**64
    return state ^ state >> 31


def test_the_numbers_are_these_forever_whole_numbers_by_hand_say() -> None:
    """A change would give a resumed run other weights."""
    keys = keys_for(1, 2, places=[3])
    state = 0
    for part in (1, 2, 3):
        state = _mixed_by_hand((state + 0x9E3779B97F4A7C15 * (part + 1)) % 2**64)
    high, low = divmod(state, 2**32)
    assert keys.tolist() == [[high, low]] == [[668064478, 2581460644]]
    expected = []
    for count in range(3):
        bits = (count * 0x9E3779B1 + high) % 2**32
        bits = ((bits ^ bits >> 16) * 0x85EBCA6B + low) % 2**32
        bits = (bits ^ bits >> 13) * 0xC2B2AE35 % 2**32
        expected.append(bits ^ bits >> 16)
    assert (Draws(keys)._bits(3).long() % 2**32).tolist() == [expected]
