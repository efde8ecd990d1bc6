"""Fair timing: everybody takes one turn a round, so that a busy moment hits all alike.

Shapes: ``r`` rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float

Times = Float[np.ndarray, " r"]
MIN_ROUNDS = 3
MAX_ROUNDS = 50
SLOW = 2.0  # seconds: a first turn that lasts longer than this warms nothing up


def interleaved(
    tasks: Mapping[str, Callable[[], None]],
    *,
    seconds: float,
    finish: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Times]:
    """Return the seconds each task took in each round.

    The order of turns rotates, so that nobody always follows the same neighbor. The
    first round is thrown away unless its turns are so long that warming up is nothing.

    >>> times = interleaved({"nothing": lambda: None}, seconds=0.0)
    >>> len(times["nothing"]) >= MIN_ROUNDS
    True

    Args:
        seconds: rounds are added until they have lasted this long together.
        finish: waits for a device that works on its own.
    """
    names = list(tasks)
    rounds: list[dict[str, float]] = []
    while len(rounds) < MAX_ROUNDS:
        turn = len(rounds) % len(names)
        taken = {}
        for name in names[turn:] + names[:turn]:
            finish()
            start = clock()
            tasks[name]()
            finish()
            taken[name] = clock() - start
        rounds.append(taken)
        kept = _without_warm_up(rounds)
        spent = sum(sum(taken.values()) for taken in kept)
        if len(kept) >= MIN_ROUNDS and spent >= seconds:
            break
    kept = _without_warm_up(rounds)
    return {name: np.array([taken[name] for taken in kept]) for name in names}


def _without_warm_up(rounds: list[dict[str, float]]) -> list[dict[str, float]]:
    return rounds if min(rounds[0].values()) > SLOW else rounds[1:]


def ratio_to(own: Times, other: Times) -> float:
    """Return how many times faster than the other, as the median over rounds.

    Within a round both met the same neighbors; between rounds they did not.

    >>> ratio_to(np.array([1.0, 1.0, 2.0]), np.array([2.0, 2.0, 4.0]))
    2.0
    """
    return float(np.median(other / own))


def finish_on(device: torch.device) -> Callable[[], None]:
    """Return what waits until a device has done all it was given."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    if device.type == "mps":
        return torch.mps.synchronize
    return lambda: None


def product_of_matrices(
    device: torch.device, precision: str
) -> tuple[Callable[[], None], float]:
    """Return a large matrix product and its additions and multiplications.

    What it reaches in a second is the ceiling of everything that is made of products.
    """
    side = 8192 if device.type == "cuda" else 2048
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in "ab")
    product = torch.empty_like(left)

    def multiply() -> None:
        torch.mm(left, right, out=product)

    return multiply, 2.0 * side**3
