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

_LOW = 0xFFFFFFFF  # 32 bits
_GOLDEN = 0x9E3779B97F4A7C15  # SplitMix64's step
_UNIT = 2.0**-24  # float32 holds 24 bits
# In 32 bits with a sign, as torch has them; products wrap around, as they should.
_STEP = 0x9E3779B1 - 2**32  # odd, so that n times it never repeats
_FIRST, _SECOND = 0x85EBCA6B - 2**32, 0xC2B2AE35 - 2**32  # MurmurHash3's factors


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
        >>> bool(-1 <= draws.uniform(-1.0, 1.0) < 1), draws.uniform(0.0, 1.0, 9).shape
        (True, torch.Size([1, 9]))
        """
        shares = self._fractions(math.prod(shape)).mul_(high - low).add_(low)
        return shares.reshape(-1, *shape)

    def normal(self, *shape: int) -> Float[Tensor, "b ..."]:
        """Return normal numbers, mean 0 and variance 1 (Box & Muller 1958)."""
        count = math.prod(shape)
        first, second = self._fractions(count + count % 2).chunk(2, dim=1)
        radius = first.add_(_UNIT).log_().mul_(-2.0).sqrt_()  # of (0, 1]
        angle = second.mul_(2 * math.pi)
        both = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
        return both[:, :count].reshape(-1, *shape)

    def _fractions(self, count: int) -> Float[Tensor, "b s"]:
        """Return the next numbers of each slice, ``count`` of them, in [0, 1)."""
        return (self._bits(count) >> 8).bitwise_and_(0xFFFFFF).float().mul_(_UNIT)

    def _bits(self, count: int) -> Int[Tensor, "b s"]:
        """Return the next 32 bits of each slice, ``count`` times."""
        numbers = torch.arange(
            self._drawn, self._drawn + count, device=self._keys.device
        ).int()
        self._drawn += count
        keys = self._keys.int()
        bits = numbers * _STEP + keys[:, :1]
        bits ^= (bits >> 16) & 0xFFFF
        bits *= _FIRST
        bits += keys[:, 1:]
        bits ^= (bits >> 13) & 0x7FFFF
        bits *= _SECOND
        return bits.bitwise_xor_((bits >> 16) & 0xFFFF)
