from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from vit_dementia.quality.orientation import best_axes


@pytest.fixture(scope="module")
def head() -> np.ndarray:
    """Return something that is its own mirror from left to right, and only so."""
    x, y, z = np.mgrid[-40:40, -48:48, -40:40].astype(np.float32)
    body = (x / 25) ** 2 + (y / 36) ** 2 + (z / 28) ** 2 < 1
    front = (x / 9) ** 2 + ((y - 22) / 9) ** 2 + ((z + 8) / 9) ** 2 < 1
    return (body + 1.0 * front).astype(np.float32)


def test_the_right_way_is_known(head) -> None:
    axes, best, here = best_axes(head, head)
    assert axes == "RAS"
    assert best == here == pytest.approx(1)


@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product((1, -1), repeat=2)))
def test_every_turn_is_found_out(head, axes, flips) -> None:
    letters = {0: "R", 1: "AP"[flips[0] < 0], 2: "SI"[flips[1] < 0]}
    template = np.pad(head, [(10, 10), (2, 2), (10, 10)])  # a cube, for every turn
    turned = template[:, :: flips[0], :: flips[1]].transpose(axes)
    named = "".join(letters[axis] for axis in axes)
    assert best_axes(np.ascontiguousarray(turned), template)[0] == named


def test_nothing_is_like_nothing(head) -> None:
    assert best_axes(np.zeros_like(head), head)[1] == 0
