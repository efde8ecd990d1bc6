"""Slices worsened on purpose, as scanners and patients worsen them.

Each takes prepared slices and a severity from 1 to ``MOST_SEVERE`` and gives slices of
the same kind. Amounts are in the unit of each, on slices whose white is 1:

============  ==========================================================================
noise         standard deviation of Rician noise (Gudbjartsson & Patz 1995)
blur          standard deviation of a Gaussian, in hundredths of the longer side
ghosting      strength of the copies that moving with every second line leaves
bias field    span of a smooth multiplicative field, in natural logarithms
rotation      degrees in the plane
contrast      exponent of a gamma curve
resolution    factor by which pixels are enlarged
============  ==========================================================================

Shapes: ``n`` slices, ``c`` channels, ``h w`` pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from scipy import ndimage

MOST_SEVERE = 3
Slices = Float32[np.ndarray, "n c h w"]
Rule = Callable[[Slices, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Degradation:
    """One way of making slices worse, and how much at each severity."""

    amounts: tuple[float, float, float]
    rule: Rule

    def __call__(
        self, images: UInt8[np.ndarray, "n c h w"], severity: int, *, seed: int
    ) -> UInt8[np.ndarray, "n c h w"]:
        """Return the slices at this severity; the same seed gives the same slices."""
        rng = np.random.default_rng([seed, severity])
        slices = images.astype(np.float32) / 255
        worse = self.rule(slices, self.amounts[severity - 1], rng)
        return np.rint(np.clip(worse, 0, 1) * 255).astype(np.uint8)


def _noise(slices: Slices, amount: float, rng: np.random.Generator) -> np.ndarray:
    real = slices + rng.normal(0, amount, slices.shape)
    return np.hypot(real, rng.normal(0, amount, slices.shape))


def _blur(slices: Slices, amount: float, _: np.random.Generator) -> np.ndarray:
    sigma = amount / 100 * max(slices.shape[2:])
    return np.asarray(ndimage.gaussian_filter(slices, (0, 0, sigma, sigma)))


def _ghosting(slices: Slices, amount: float, _: np.random.Generator) -> np.ndarray:
    lines = np.fft.fft(slices, axis=2)
    lines[:, :, 1::2] *= 1 - amount  # every second line was taken elsewhere
    return np.abs(np.fft.ifft(lines, axis=2))


def _bias(slices: Slices, amount: float, rng: np.random.Generator) -> np.ndarray:
    rows, columns = (np.linspace(-1, 1, side) for side in slices.shape[2:])
    turn = rng.uniform(0, 2 * np.pi, len(slices))[:, None, None]
    slope = np.cos(turn) * rows[:, None] + np.sin(turn) * columns
    field = np.exp(amount / 2 * slope)
    return slices * field[:, None]


def _rotation(slices: Slices, amount: float, rng: np.random.Generator) -> np.ndarray:
    way = rng.choice([-1, 1], len(slices))
    turned = [
        ndimage.rotate(one, sign * amount, axes=(2, 1), reshape=False, order=1)
        for one, sign in zip(slices, way, strict=True)
    ]
    return np.stack(turned)


def _contrast(slices: Slices, amount: float, rng: np.random.Generator) -> np.ndarray:
    up = rng.choice([-1.0, 1.0], len(slices))
    return slices ** (amount**up)[:, None, None, None]


def _resolution(slices: Slices, amount: float, _: np.random.Generator) -> np.ndarray:
    small = ndimage.zoom(
        ndimage.gaussian_filter(slices, (0, 0, amount / 3, amount / 3)),
        (1, 1, 1 / amount, 1 / amount),
        order=1,
    )
    back = [large / few for large, few in zip(slices.shape, small.shape, strict=True)]
    return np.asarray(ndimage.zoom(small, back, order=1))


DEGRADATIONS: Mapping[str, Degradation] = {
    "noise": Degradation((0.03, 0.08, 0.15), _noise),
    "blur": Degradation((0.5, 1.0, 2.0), _blur),
    "ghosting": Degradation((0.1, 0.25, 0.5), _ghosting),
    "bias field": Degradation((0.3, 0.7, 1.2), _bias),
    "rotation": Degradation((3.0, 8.0, 15.0), _rotation),
    "contrast": Degradation((1.2, 1.5, 2.0), _contrast),
    "resolution": Degradation((1.5, 2.5, 4.0), _resolution),
}
