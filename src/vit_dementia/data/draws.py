"""Random numbers that are a function of what they are for, not of who drew before.

A slice has a key, made of the run's seed, the epoch and its place in it; its n-th
number is a hash of key and n. So it is drawn alike in any batch, on any device, by any
number of processes and after any interruption, and nothing has to be saved (Salmon et
al. 2011, "Parallel random numbers: as easy as 1, 2, 3", DOI 10.1145/2063384.2063405).
Keys are mixed by SplitMix64 (Steele et al. 2014, DOI 10.1145/2660193.2660195), numbers
by the final mixer of MurmurHash3: whole tensors in a few operations on any device.

Shapes: ``b`` slices, ``s`` numbers of each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

_LOW = 0xFFFFFFFF  # 32 bits; products of two such numbers wrap around in 64, as needed
_GOLDEN = 0x9E3779B97F4A7C15  # SplitMix64's step
_STEP = 0x9E3779B1  # odd, so that n times it never repeats within 32 bits
_UNIT = 2.0**-24  # float32 holds 24 bits


def keys_for(
    *what_for: int, places: Sequence[int] | Int[np.ndarray, " b"]
) -> Int[Tensor, "b 2"]:
    """Return a key for each place: two numbers of 32 bits.

    Args:
        what_for: seed, epoch and the like.
        places: of the slices, such as their positions in an epoch.

    >>> first, again = keys_for(0, 1, places=[5, 6]), keys_for(0, 1, places=[6, 7])
    >>> bool((first[1] == again[0]).all()), bool((first[0] == first[1]).any())
    (True, False)
    """
    state = np.zeros(len(places), dtype=np.uint64)
    with np.errstate(over="ignore"):  # it wraps around, as it should
        for part in (*what_for, np.asarray(places, dtype=np.int64)):
            word = np.asarray(part, dtype=np.int64).astype(np.uint64)
            state = _mixed(state + np.uint64(_GOLDEN) * (word + np.uint64(1)))
    halves = [state >> np.uint64(32), state & np.uint64(_LOW)]
    return torch.from_numpy(np.stack(halves, axis=1).astype(np.int64))


def _mixed(state: np.ndarray) -> np.ndarray:
    """Return SplitMix64's mix of each number."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


class Draws:
    """The random numbers of the slices of a batch, on the device of their keys.

    Args:
        keys: of the slices.
    """

    def __init__(self, keys: Int[Tensor, "b 2"]) -> None:
        self._keys = keys
        self._drawn = 0  # numbers of each slice so far

    def uniform(self, low: float, high: float, *shape: int) -> Float[Tensor, "b ..."]:
        """Return a number in [low, high) for each slice, or as many as ``shape`` says.

        >>> draws = Draws(keys_for(0, places=[0]))
        >>> bool(-1 <= draws.uniform(-1.0, 1.0) < 1), draws.uniform(0, 1, 2, 3).shape
        (True, torch.Size([1, 2, 3]))
        """
        bits = self._bits(math.prod(shape))
        return (low + (high - low) * _UNIT * (bits >> 8)).reshape(-1, *shape)

    def normal(self, *shape: int) -> Float[Tensor, "b ..."]:
        """Return normal numbers, mean 0 and variance 1 (Box & Muller 1958)."""
        count = math.prod(shape)
        first, second = self._bits(count + count % 2).chunk(2, dim=1)
        radius = (((first >> 8) + 1) * _UNIT).log().mul_(-2.0).sqrt_()
        angle = (second >> 8) * (2 * math.pi * _UNIT)
        both = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
        return both[:, :count].reshape(-1, *shape)

    def _bits(self, count: int) -> Int[Tensor, "b s"]:
        """Return the next 32 bits of each slice, ``count`` times."""
        device = self._keys.device
        numbers = torch.arange(self._drawn, self._drawn + count, device=device)
        self._drawn += count
        bits = (numbers * _STEP + self._keys[:, :1]) & _LOW
        bits ^= bits >> 16
        bits = (bits * 0x85EBCA6B + self._keys[:, 1:]) & _LOW
        bits ^= bits >> 13
        bits = (bits * 0xC2B2AE35) & _LOW
        return bits ^ (bits >> 16)
