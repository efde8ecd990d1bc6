"""Random changes to a batch of training scans, of the size scanners and heads make.

All slices or volumes of a batch are changed in a few tensor operations on the device
they are on, each by its own draw. Values are on the scale [0, 1].

Shapes: ``b`` scans, ``c`` channels, ``space`` its two or three sides, ``k`` knots along
each of them.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from vit_dementia.config import AugmentConfig
from vit_dementia.data.draws import Draws
from vit_dementia.data.movement import Uniform, moved, smooth_field

BIAS_GRID = 4  # knots a side of the coil's brightness field: smooth over the head


def augment(
    images: Float[Tensor, "b c *space"], config: AugmentConfig, draws: Draws
) -> Float[Tensor, "b c *space"]:
    """Return the scans moved, and with other contrast, brightness and noise.

    Args:
        images: the scans.
        config: how much is changed.
        draws: of each scan, on the same device.
    """
    if not config.enabled:
        return images
    uniform = draws.uniform
    sides = images.shape[2:]
    each = (1,) * (images.ndim - 1)  # one number for a whole scan
    images = moved(images, config, uniform)
    gamma = uniform(-config.gamma, config.gamma, *each).exp()
    images = (images.clamp(min=0).log() * gamma).exp()  # twice as fast as pow
    grid = (1, *(BIAS_GRID,) * len(sides))
    knots = 1 + uniform(-config.bias_field, config.bias_field, *grid)
    images = images * smooth_field(knots, *sides)
    if config.ghosting:
        images = _ghosted(images, config.ghosting, uniform)
    if config.noise:
        strength = uniform(0.0, config.noise, *each)
        images = images + strength * draws.normal(*images.shape[1:])
    if config.erase:
        images = _erased(images, config.erase, uniform)
    return images.clamp(0, 1)


def _ghosted(images: Tensor, most: float, uniform: Uniform) -> Tensor:
    """Mix in a copy shifted by half the image along its rows or its columns.

    Every other line of what the scanner reads is off by as much; the sum of the
    brightness stays.
    """
    height, width = images.shape[-2:]
    each = (1,) * (images.ndim - 1)
    along_rows = uniform(0.0, 1.0, *each) < 0.5
    ghost = torch.where(
        along_rows, images.roll(height // 2, dims=-2), images.roll(width // 2, dims=-1)
    )
    return torch.lerp(images, ghost, uniform(0.0, most, *each))


def _erased(images: Tensor, probability: float, uniform: Uniform) -> Tensor:
    """Blank one box, of up to a third of each side, in some of the scans."""
    axes = images.ndim - 2
    is_erased = uniform(0.0, 1.0) < probability
    size, place = uniform(0.1, 1 / 3, axes), uniform(0.0, 1.0, axes)
    start = place * (1 - size)
    hole = is_erased.reshape(-1, *(1,) * axes)
    for axis, side in enumerate(images.shape[2:]):
        at = torch.arange(side, device=images.device) / side
        first, length = start[:, axis, None], size[:, axis, None]
        inside = (at >= first) & (at < first + length)
        shape = [-1, *(1,) * axes]
        shape[1 + axis] = side
        hole = hole & inside.reshape(shape)
    return images.masked_fill(hole[:, None], 0.0)
