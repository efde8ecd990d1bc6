"""Scans turned, scaled, shifted, mirrored and bent, each by its own draw.

Written out instead of ``F.affine_grid``: its product of thin matrices, and coordinates
side by side, would cost several times what the sampling does.

Shapes: ``b`` scans, ``c`` channels, ``space`` two or three sides, ``k`` knots along
each of them, ``a`` axes.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F  # noqa: N812  # the name PyTorch's own documents use
from jaxtyping import Float
from torch import Tensor

from vit_dementia.config import AugmentConfig

BEND_GRID = 4  # knots a side of the field that bends: 1/3 of the side apart


@runtime_checkable
class Uniform(Protocol):
    """Draw numbers for each scan of the batch, on its device."""

    def __call__(self, low: float, high: float, *shape: int) -> Tensor:
        """Return numbers from ``low`` to ``high``, of this shape for each scan."""


def moved(
    images: Float[Tensor, "b c *space"], config: AugmentConfig, uniform: Uniform
) -> Float[Tensor, "b c *space"]:
    """Turn, scale, shift, mirror and bend each scan; black comes in."""
    sides = images.shape[2:]
    axes = len(sides)
    turn = (
        turn_in_plane(config, uniform) if axes == 2 else turn_in_space(config, uniform)
    )
    zoom = 1 + uniform(-config.scale, config.scale)
    mirror = torch.where(uniform(0.0, 1.0) < config.flip, -1.0, 1.0)
    shift = uniform(-2 * config.shift, 2 * config.shift, axes)  # a side is 2 units long
    # A turn in pixels, written in units of half a side, which differ along the axes.
    lengths = torch.tensor(sides[::-1], dtype=images.dtype, device=images.device)
    matrix = turn / zoom[:, None, None] * (lengths / lengths[:, None])
    matrix = torch.cat([matrix[:, :, :1] * mirror[:, None, None], matrix[:, :, 1:]], 2)
    # The coordinates of grid_sample begin with the last axis, x.
    places = [
        _centers(side, images).reshape(-1, *(1,) * axis)
        for axis, side in enumerate(sides[::-1])
    ]
    each = (-1, *(1,) * axes)
    rows = []
    for row in range(axes):
        along = shift[:, row].reshape(each)
        for axis, place in enumerate(places):
            along = along + matrix[:, row, axis].reshape(each) * place
        rows.append(along)
    grid = torch.stack(rows, dim=1)
    if config.elastic:
        most = 2 * config.elastic  # the side is 2 units long
        bend = uniform(-most, most, axes, *(BEND_GRID,) * axes)
        grid = grid + smooth_field(bend, *sides)
    return F.grid_sample(images, grid.movedim(1, -1), align_corners=False)


def turn_in_plane(config: AugmentConfig, uniform: Uniform) -> Float[Tensor, "b a a"]:
    """Return turns of slices, from x and y to x and y."""
    return _turns(_angle(config, uniform), (0, 1), 2)


def turn_in_space(config: AugmentConfig, uniform: Uniform) -> Float[Tensor, "b a a"]:
    """Return turns of volumes about all three axes, one after the other."""
    about = [
        _turns(_angle(config, uniform), plane, 3) for plane in ((0, 1), (0, 2), (1, 2))
    ]
    return about[2] @ about[1] @ about[0]


def _angle(config: AugmentConfig, uniform: Uniform) -> Float[Tensor, " b"]:
    return torch.deg2rad(uniform(-config.rotation_degrees, config.rotation_degrees))


def _turns(
    angle: Float[Tensor, " b"], plane: tuple[int, int], axes: int
) -> Float[Tensor, "b a a"]:
    """Return matrices that turn in the plane of two axes.

    >>> _turns(torch.tensor([torch.pi / 2]), (0, 1), 2).round().tolist()
    [[[-0.0, -1.0], [1.0, -0.0]]]
    """
    first, second = plane
    turn = torch.eye(axes, dtype=angle.dtype, device=angle.device).repeat(
        len(angle), 1, 1
    )
    turn[:, first, first] = turn[:, second, second] = angle.cos()
    turn[:, first, second], turn[:, second, first] = -angle.sin(), angle.sin()
    return turn


def _centers(side: int, like: Tensor) -> Tensor:
    """Return where the pixels of one side lie, the side going from -1 to 1."""
    return (2 * torch.arange(side, device=like.device, dtype=like.dtype) + 1) / side - 1


def smooth_field(
    knots: Float[Tensor, "b c *k"], *sides: int
) -> Float[Tensor, "b c *_"]:
    """Return the bicubic field through the knots, the outer ones at the corners.

    As ``F.interpolate`` gives it for slices, but by a matrix for each axis: ten times
    as fast, and for volumes too.
    """
    field = knots
    for axis, side in enumerate(sides, start=2):
        along = field.movedim(axis, -1) @ _bicubic(side, knots).T
        field = along.movedim(-1, axis)
    return field


def _bicubic(side: int, knots: Tensor) -> Tensor:
    """Return the weight of each knot at each pixel of a side, (side, k)."""
    number = knots.shape[-1]
    each_alone = torch.eye(number, device=knots.device, dtype=knots.dtype)[None, None]
    return F.interpolate(
        each_alone, size=(side, number), mode="bicubic", align_corners=True
    )[0, 0]
