"""Random changes to a batch of training slices, of the size scanners and heads make.

All slices of a batch are changed in a few tensor operations on the device they are
on, each by its own draw. Values are on the scale [0, 1].

Shapes: ``b`` slices, ``c`` channels, ``h w`` pixels.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F  # noqa: N812  # the name PyTorch's own documents use
from jaxtyping import Float
from torch import Tensor

from vit_dementia.config import AugmentConfig

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
    images = images.clamp(min=0).pow(gamma)
    field = 1 + uniform(-config.bias_field, config.bias_field, 1, BIAS_GRID, BIAS_GRID)
    images = images * F.interpolate(
        field, size=images.shape[-2:], mode="bicubic", align_corners=True
    )
    if config.noise:
        strength = uniform(0.0, config.noise, 1, 1, 1)
        noise = torch.randn(images.shape, generator=generator).to(images.device)
        images = images + strength * noise
    if config.erase:
        images = _erased(images, config.erase, uniform)
    return images.clamp(0, 1)


def _moved(images: Tensor, config: AugmentConfig, uniform: _Uniform) -> Tensor:
    """Turn, scale, shift and mirror each slice about its center; black comes in."""
    angle = torch.deg2rad(uniform(-config.rotation_degrees, config.rotation_degrees))
    zoom = 1 + uniform(-config.scale, config.scale)
    mirror = torch.where(uniform(0.0, 1.0) < config.flip, -1.0, 1.0)
    shift = uniform(-2 * config.shift, 2 * config.shift, 2)  # the side is 2 units long
    height, width = images.shape[-2:]
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    # A turn in pixels, written in units of half a side, which differ on a rectangle.
    row_x = torch.stack((mirror * cos, -sin * height / width, shift[:, 0]), dim=1)
    row_y = torch.stack((mirror * sin * width / height, cos, shift[:, 1]), dim=1)
    grid = F.affine_grid(
        torch.stack((row_x, row_y), dim=1), list(images.shape), align_corners=False
    )
    return F.grid_sample(images, grid.to(images.dtype), align_corners=False)


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
