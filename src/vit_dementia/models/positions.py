"""Position embeddings: fixed ones, and those of a file for another grid of patches.

Every library interpolates in its own way; the differences are small but real, and each
rule here is exact. All of them treat one axis after the other, so each is a matrix per
axis, and two axes and three go through the same code.

Shapes: n tokens, p prefix tokens, d width of a token, i patches before, o after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate, pad

Rule = Literal[
    "bicubic-antialias",  # timm (.pth, .safetensors, dynamic sizes); DINOv2 registers
    "bicubic",  # Hugging Face, DeiT, MAE
    "bicubic-corners",  # torchvision
    "bilinear",  # timm, from .npz
    "bilinear-corners",  # vit_jax and big_vision: scipy.ndimage.zoom(order=1)
    "dino",  # DINO, and DINOv2 without registers: 0.1 is added to the wanted grid
]
RULES: tuple[Rule, ...] = get_args(Rule)


def resize_positions(
    positions: Float[Tensor, "1 n d"],
    source: Sequence[int],
    target: Sequence[int],
    *,
    num_prefix: int,
    rule: Rule,
) -> Float[Tensor, "1 _ d"]:
    """Return the position embeddings for another grid; rows of prefix tokens stay.

    Nothing happens only if the grids are equal: 6x4 and 4x6 have as many patches and
    other places.

    >>> positions = torch.arange(5.0).reshape(1, 5, 1)  # class token and a 2x2 grid
    >>> resize_positions(
    ...     positions, (2, 2), (1, 2), num_prefix=1, rule="bilinear"
    ... ).flatten().tolist()
    [0.0, 2.0, 3.0]
    """
    if positions.shape[1] != num_prefix + prod(source):
        raise ValueError(
            f"positions: found {positions.shape[1]} rows; a grid of {tuple(source)} and"
            f" {num_prefix} prefix tokens need {num_prefix + prod(source)}"
        )
    if tuple(source) == tuple(target):
        return positions
    prefix, places = positions.split([num_prefix, prod(source)], dim=1)
    grid = places.reshape(*source, -1)
    matrices = [
        interpolation_matrix(i, o, rule) for i, o in zip(source, target, strict=True)
    ]
    resized = along_axes(grid.double(), matrices).to(positions.dtype)
    return torch.cat([prefix, resized.reshape(1, prod(target), -1)], dim=1)


def interpolation_matrix(
    size_in: int, size_out: int, rule: Rule
) -> Float[Tensor, "o i"]:
    """Return the matrix that resizes one axis by ``rule``; its rows sum to 1.

    >>> interpolation_matrix(2, 4, "bilinear-corners")[:, 1].numpy().round(3).tolist()
    [0.0, 0.333, 0.667, 1.0]
    """
    if size_in == size_out:
        return torch.eye(size_in, dtype=torch.float64)
    impulses = torch.eye(size_in, dtype=torch.float64)  # an image, a column each
    return _INTERPOLATE[rule](impulses[None, None], size_out)[0, 0]


def sincos_positions(grid: Sequence[int], dim: int) -> Float[Tensor, "n d"]:
    """Return fixed positions: waves of falling frequency along each axis.

    As in MoCo v3 and MAE (their code): the last axis comes first, sines before cosines,
    frequencies 10000^(-i / m) for m waves an axis. What is left of a width that does
    not hold whole waves for each axis is 0. App. D.4 of the paper finds learned ones no
    better.

    >>> sincos_positions((1, 2), 5).numpy().round(2).tolist()
    [[0.0, 1.0, 0.0, 1.0, 0.0], [0.84, 0.54, 0.0, 1.0, 0.0]]
    """
    waves = dim // (2 * len(grid))
    rest = dim - waves * 2 * len(grid)
    frequency = 10_000.0 ** -(torch.arange(waves, dtype=torch.float64) / waves)
    places = torch.cartesian_prod(
        *(torch.arange(side, dtype=torch.float64) for side in grid)
    ).reshape(-1, len(grid))
    phases = [places[:, axis, None] * frequency for axis in reversed(range(len(grid)))]
    waved = torch.cat([wave for p in phases for wave in (p.sin(), p.cos())], dim=1)
    return pad(waved, (0, rest))


def along_axes(
    grid: Float[Tensor, "*axes d"], matrices: Sequence[Float[Tensor, "_ _"]]
) -> Float[Tensor, "*_ d"]:
    """Multiply each axis but the last by its matrix.

    >>> along_axes(torch.ones(2, 3, 1), [torch.ones(1, 2), torch.ones(1, 3)]).item()
    6.0
    """
    for axis, matrix in enumerate(matrices):
        grid = torch.tensordot(grid, matrix, dims=([axis], [1])).movedim(-1, axis)
    return grid


def _bicubic_antialias(impulses: Tensor, size: int) -> Tensor:
    return interpolate(
        impulses, (size, impulses.shape[3]), mode="bicubic", antialias=True
    )


def _bicubic(impulses: Tensor, size: int) -> Tensor:
    return interpolate(impulses, (size, impulses.shape[3]), mode="bicubic")


def _bicubic_corners(impulses: Tensor, size: int) -> Tensor:
    return interpolate(
        impulses, (size, impulses.shape[3]), mode="bicubic", align_corners=True
    )


def _bilinear(impulses: Tensor, size: int) -> Tensor:
    return interpolate(impulses, (size, impulses.shape[3]), mode="bilinear")


def _bilinear_corners(impulses: Tensor, size: int) -> Tensor:
    return interpolate(
        impulses, (size, impulses.shape[3]), mode="bilinear", align_corners=True
    )


def _dino(impulses: Tensor, size: int) -> Tensor:
    scale = (size + 0.1) / impulses.shape[2]
    return interpolate(impulses, scale_factor=(scale, 1.0), mode="bicubic")


_INTERPOLATE: dict[Rule, Callable[[Tensor, int], Tensor]] = {
    "bicubic-antialias": _bicubic_antialias,
    "bicubic": _bicubic,
    "bicubic-corners": _bicubic_corners,
    "bilinear": _bilinear,
    "bilinear-corners": _bilinear_corners,
    "dino": _dino,
}
