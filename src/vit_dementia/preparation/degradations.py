"""Scans worsened on purpose, as scanners and patients worsen them.

Each takes prepared slices or volumes and a severity from 1 to ``MOST_SEVERE`` and gives
scans of the same kind. Amounts are in the unit of each, on scans whose white is 1:

============  ==========================================================================
noise         standard deviation of Rician noise (Gudbjartsson & Patz 1995)
blur          standard deviation of a Gaussian, in hundredths of the longer side
ghosting      strength of the copies that moving with every second line leaves
bias field    span of a smooth multiplicative field, in natural logarithms
rotation      degrees in the plane of a slice
contrast      exponent of a gamma curve
resolution    factor by which pixels are enlarged
============  ==========================================================================

Shapes: ``n`` scans, ``c`` channels, ``space`` the two sides of a slice or the three of
a volume.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8
from scipy import ndimage

MOST_SEVERE = 3
Scans = Float32[np.ndarray, "n c *space"]
Rule = Callable[[Scans, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Degradation:
    """One way of making scans worse, and how much at each severity."""

    amounts: tuple[float, float, float]
    rule: Rule

    def __call__(
        self, images: UInt8[np.ndarray, "n c *space"], severity: int, *, seed: int
    ) -> UInt8[np.ndarray, "n c *space"]:
        """Return the scans at this severity; the same seed gives the same scans."""
        rng = np.random.default_rng([seed, severity])
        scans = images.astype(np.float32) / 255
        worse = self.rule(scans, self.amounts[severity - 1], rng)
        return np.rint(np.clip(worse, 0, 1) * 255).astype(np.uint8)


def _noise(scans: Scans, amount: float, rng: np.random.Generator) -> np.ndarray:
    real = scans + rng.normal(0, amount, scans.shape)
    return np.hypot(real, rng.normal(0, amount, scans.shape))


def _blur(scans: Scans, amount: float, _: np.random.Generator) -> np.ndarray:
    sides = scans.shape[2:]
    sigma = amount / 100 * max(sides)
    return np.asarray(ndimage.gaussian_filter(scans, (0, 0, *(sigma,) * len(sides))))


def _ghosting(scans: Scans, amount: float, _: np.random.Generator) -> np.ndarray:
    lines = np.fft.fft(scans, axis=-2)
    lines[..., 1::2, :] *= 1 - amount  # every second line was taken elsewhere
    return np.abs(np.fft.ifft(lines, axis=-2))


def _bias(scans: Scans, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Brighten along one direction in the plane of a slice: the coil lies there."""
    rows, columns = (np.linspace(-1, 1, side) for side in scans.shape[-2:])
    turn = rng.uniform(0, 2 * np.pi, len(scans))[:, None, None]
    slope = np.cos(turn) * rows[:, None] + np.sin(turn) * columns
    return scans * _each(np.exp(amount / 2 * slope), scans)


def _rotation(scans: Scans, amount: float, rng: np.random.Generator) -> np.ndarray:
    way = rng.choice([-1, 1], len(scans))
    turned = [
        ndimage.rotate(one, sign * amount, axes=(-1, -2), reshape=False, order=1)
        for one, sign in zip(scans, way, strict=True)
    ]
    return np.stack(turned)


def _contrast(scans: Scans, amount: float, rng: np.random.Generator) -> np.ndarray:
    up = rng.choice([-1.0, 1.0], len(scans))
    return scans ** _each(amount ** up[:, None, None], scans)


def _resolution(scans: Scans, amount: float, _: np.random.Generator) -> np.ndarray:
    axes = scans.ndim - 2
    small = ndimage.zoom(
        ndimage.gaussian_filter(scans, (0, 0, *(amount / 3,) * axes)),
        (1, 1, *(1 / amount,) * axes),
        order=1,
    )
    back = [large / few for large, few in zip(scans.shape, small.shape, strict=True)]
    return np.asarray(ndimage.zoom(small, back, order=1))


def _each(
    of_plane: Float[np.ndarray, "n _ _"], scans: Scans
) -> Float[np.ndarray, "n ..."]:
    """Return what belongs to the planes of each scan, to be spread over its others."""
    return of_plane.reshape(len(scans), *(1,) * (scans.ndim - 3), *of_plane.shape[1:])


DEGRADATIONS: Mapping[str, Degradation] = {
    "noise": Degradation((0.03, 0.08, 0.15), _noise),
    "blur": Degradation((0.5, 1.0, 2.0), _blur),
    "ghosting": Degradation((0.1, 0.25, 0.5), _ghosting),
    "bias field": Degradation((0.3, 0.7, 1.2), _bias),
    "rotation": Degradation((3.0, 8.0, 15.0), _rotation),
    "contrast": Degradation((1.2, 1.5, 2.0), _contrast),
    "resolution": Degradation((1.5, 2.5, 4.0), _resolution),
}
