from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from vit_dementia.benchmark.timing import (
    MAX_ROUNDS,
    MIN_ROUNDS,
    interleaved,
    product_of_matrices,
    ratio_to,
)


class _Clock:
    """Time that passes only when a task says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def lasting(self, *seconds: float):
        turns = itertools.chain(seconds, itertools.repeat(seconds[-1]))

        def task() -> None:
            self.now += next(turns)

        return task


def test_each_round_holds_one_turn_of_everybody_in_rotating_order() -> None:
    order: list[str] = []
    times = interleaved(
        {name: lambda name=name: order.append(name) for name in "abc"}, seconds=0.0
    )
    assert len(order) == 3 * (MIN_ROUNDS + 1)
    assert order[:9] == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert {len(t) for t in times.values()} == {MIN_ROUNDS}


def test_a_quick_first_round_is_warm_up_and_a_slow_one_counts() -> None:
    clock = _Clock()
    times = interleaved({"a": clock.lasting(1.5, 1.0)}, seconds=0.0, clock=clock)
    np.testing.assert_allclose(times["a"], 1.0)
    slow = interleaved({"a": clock.lasting(30.0, 20.0)}, seconds=0.0, clock=clock)
    np.testing.assert_allclose(slow["a"], [30.0, 20.0, 20.0])


def test_rounds_last_as_long_as_was_asked_for_but_end() -> None:
    clock = _Clock()
    tasks = {"a": clock.lasting(0.25), "b": clock.lasting(0.75)}
    assert len(interleaved(tasks, seconds=7.5, clock=clock)["a"]) == 8
    endless = interleaved(tasks, seconds=1e9, clock=clock)["a"]
    assert len(endless) == MAX_ROUNDS - 1


def test_a_moment_that_slows_everybody_does_not_change_the_ratio() -> None:
    own, other = np.array([1.0, 1.1, 0.9]), np.array([1.5, 1.65, 1.35])
    busy = np.array([1.0, 7.0, 1.0])
    assert ratio_to(own, other) == pytest.approx(1.5)
    assert ratio_to(own * busy, other * busy) == pytest.approx(1.5)


def test_the_product_counts_a_multiplication_and_an_addition_for_each_term() -> None:
    multiply, flops = product_of_matrices(torch.device("cpu"), "fp32")
    multiply()
    assert flops == 2 * 2048**3
