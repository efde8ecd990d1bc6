"""Random changes to a batch of training slices, of the size scanners and heads make.

All slices of a batch are changed in a few tensor operations on the device they are
on, each by its own draw. Values are on the scale [0, 1].

Shapes: ``b`` slices, ``c`` channels, ``h w`` pixels, ``k`` knots a side.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F  # noqa: N812  # the name PyTorch's own documents use
from jaxtyping import Float
from torch import Tensor

from vit_dementia.config import AugmentConfig

BEND_GRID = 4  # knots a side of the field that bends: 1/3 of the side apart
BIAS_GRID = 4  # knots a side of the coil's brightness field: smooth over the head


@runtime_checkable
class _Uniform(Protocol):
    """Draw numbers for each slice of the batch, on its device."""

    def __call__(self, low: float, high: float, *shape: int) -> Tensor: ...


def augment(
    images: Float[Tensor, "b c h w"], config: AugmentConfig, generator: torch.Generator
) -> Float[Tensor, "b c h w"]:
    """Return the slices moved, and with other contrast, brightness and noise.

    Args:
        generator: on the CPU, so that the draws are the same on every device.
    """
    if not config.enabled:
        return images

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        drawn = torch.rand(len(images), *shape, generator=generator)
        return (low + (high - low) * drawn).to(images.device)

    images = _moved(images, config, uniform)
    gamma = uniform(-config.gamma, config.gamma, 1, 1, 1).exp()
    images = (images.clamp(min=0).log() * gamma).exp()  # twice as fast as pow
    knots = 1 + uniform(-config.bias_field, config.bias_field, 1, BIAS_GRID, BIAS_GRID)
    images = images * smooth_field(knots, images.shape[-2], images.shape[-1])
    if config.ghosting:
        images = _ghosted(images, config.ghosting, uniform)
    if config.noise:
        strength = uniform(0.0, config.noise, 1, 1, 1)
        noise = torch.randn(images.shape, generator=generator).to(images.device)
        images = images + strength * noise
    if config.erase:
        images = _erased(images, config.erase, uniform)
    return images.clamp(0, 1)


def _moved(images: Tensor, config: AugmentConfig, uniform: _Uniform) -> Tensor:
    """Turn, scale, shift, mirror and bend each slice; black comes in."""
    angle = torch.deg2rad(uniform(-config.rotation_degrees, config.rotation_degrees))
    zoom = 1 + uniform(-config.scale, config.scale)
    mirror = torch.where(uniform(0.0, 1.0) < config.flip, -1.0, 1.0)
    shift = uniform(-2 * config.shift, 2 * config.shift, 2)  # the side is 2 units long
    height, width = images.shape[-2:]
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    # A turn in pixels, written in units of half a side, which differ on a rectangle.
    row_x = (mirror * cos, -sin * height / width, shift[:, 0])
    row_y = (mirror * sin * width / height, cos, shift[:, 1])
    x, y = _centers(width, images)[None, None], _centers(height, images)[None, :, None]
    # F.affine_grid by broadcasting: its product of thin matrices, and pairs of numbers
    # side by side, would cost several times what the sampling does.
    grid = torch.stack(
        [
            (of_x[:, None, None] * x + of_one[:, None, None]) + of_y[:, None, None] * y
            for of_x, of_y, of_one in (row_x, row_y)
        ],
        dim=1,
    )
    if config.elastic:
        most = 2 * config.elastic  # the side is 2 units long
        bend = uniform(-most, most, 2, BEND_GRID, BEND_GRID)
        grid = grid + smooth_field(bend, height, width)
    return F.grid_sample(images, grid.permute(0, 2, 3, 1), align_corners=False)


def _ghosted(images: Tensor, most: float, uniform: _Uniform) -> Tensor:
    """Mix in a copy shifted by half the image along its rows or its columns.

    Every other line of what the scanner reads is off by as much; the sum of the
    brightness stays.
    """
    height, width = images.shape[-2:]
    along_rows = uniform(0.0, 1.0, 1, 1, 1) < 0.5
    ghost = torch.where(
        along_rows, images.roll(height // 2, dims=-2), images.roll(width // 2, dims=-1)
    )
    return torch.lerp(images, ghost, uniform(0.0, most, 1, 1, 1))


def _centers(side: int, like: Tensor) -> Tensor:
    """Return where the pixels of one side lie, the side going from -1 to 1."""
    return (2 * torch.arange(side, device=like.device, dtype=like.dtype) + 1) / side - 1


def smooth_field(
    knots: Float[Tensor, "b c k k"], height: int, width: int
) -> Float[Tensor, "b c h w"]:
    """Return the bicubic surface through the knots, the outer ones at the corners.

    As ``F.interpolate`` gives it, but by a matrix for each axis: ten times as fast.
    """
    rows, columns = (_bicubic(side, knots) for side in (height, width))
    return rows @ knots @ columns.T


def _bicubic(side: int, knots: Tensor) -> Tensor:
    """Return the weight of each knot at each pixel of a side, (side, k)."""
    number = knots.shape[-1]
    each_alone = torch.eye(number, device=knots.device, dtype=knots.dtype)[None, None]
    return F.interpolate(
        each_alone, size=(side, number), mode="bicubic", align_corners=True
    )[0, 0]


def _erased(images: Tensor, probability: float, uniform: _Uniform) -> Tensor:
    """Blank one rectangle, of up to a third of each side, in some of the slices."""
    height, width = images.shape[-2:]
    is_erased = uniform(0.0, 1.0) < probability
    size, place = uniform(0.1, 1 / 3, 2), uniform(0.0, 1.0, 2)
    rows = torch.arange(height, device=images.device) / height
    columns = torch.arange(width, device=images.device) / width
    start = place * (1 - size)
    in_rows = (rows >= start[:, :1]) & (rows < start[:, :1] + size[:, :1])
    in_columns = (columns >= start[:, 1:]) & (columns < start[:, 1:] + size[:, 1:])
    hole = in_rows[:, :, None] & in_columns[:, None, :] & is_erased[:, None, None]
    return images.masked_fill(hole[:, None], 0.0)
