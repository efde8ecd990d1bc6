"""The architecture that a state dict under timm's names speaks of."""

from __future__ import annotations

import re
from math import isqrt, prod
from typing import Literal

from torch import Tensor

from vit_dementia.errors import CheckpointError, ConfigError
from vit_dementia.models.description import Architecture
from vit_dementia.models.variants import SIZES

HEADS_OF_WIDTH = {size.embed_dim: size.num_heads for size in SIZES.values()}


def describe(
    state: dict[str, Tensor],
    *,
    where: object,
    num_heads: int | None = None,
    image_size: tuple[int, ...] | None = None,
    layer_norm_eps: float = 1e-6,
    activation: Literal["gelu", "gelu_tanh"] = "gelu",
) -> Architecture:
    """Read off the shapes of weights what network they belong to.

    What no shape tells (heads, eps, activation, a grid that is not square) is given.

    Raises:
        CheckpointError: if the weights contradict one another or tell too little.
    """
    try:
        kernel, pos = state["patch_embed.proj.weight"], state["pos_embed"]
        mlp_dim = state["blocks.0.mlp.fc1.weight"].shape[0]
    except KeyError as error:
        raise CheckpointError(
            f"{where}: {error.args[0]} is missing; needs the weights of a whole Vision"
            " Transformer; nothing was loaded"
        ) from error
    embed_dim, channels, *patch = kernel.shape
    class_token = "cls_token" in state
    size = image_size or _square(pos.shape[1] - class_token, patch, where)
    try:
        return Architecture(
            image_size=size,
            patch_size=tuple(patch),
            channels=channels,
            num_classes=len(state["head.weight"]) if "head.weight" in state else 0,
            embed_dim=embed_dim,
            depth=count_blocks(state, where),
            num_heads=num_heads or heads_of(embed_dim, where),
            mlp_dim=mlp_dim,
            pooling="cls" if class_token else "mean",
            class_token=class_token,
            qkv_bias="blocks.0.attn.qkv.bias" in state,
            layer_norm_eps=layer_norm_eps,
            activation=activation,
        )
    except ConfigError as error:
        raise CheckpointError(f"{where}: {error}") from error


def count_blocks(state: dict[str, Tensor], where: object) -> int:
    """Return the number of blocks.

    Raises:
        CheckpointError: if a block in between is missing.
    """
    found = {int(m[1]) for name in state if (m := re.match(r"blocks\.(\d+)\.", name))}
    gaps = sorted(set(range(max(found))) - found)
    if gaps:
        raise CheckpointError(
            f"{where}: has block {max(found)} but not {', '.join(map(str, gaps))};"
            " needs every block; nothing was loaded"
        )
    return len(found)


def heads_of(embed_dim: int, where: object) -> int:
    """Return the published number of heads for a width.

    Raises:
        CheckpointError: if there is none; no state dict tells it.
    """
    if embed_dim not in HEADS_OF_WIDTH:
        raise CheckpointError(
            f"{where}: width {embed_dim} has no published number of heads, and no"
            " weight tells it; needs vit.num_heads"
        )
    return HEADS_OF_WIDTH[embed_dim]


def _square(num_patches: int, patch: list[int], where: object) -> tuple[int, ...]:
    axes = len(patch)
    side = isqrt(num_patches) if axes == 2 else round(num_patches ** (1 / 3))
    if side**axes != num_patches:
        raise CheckpointError(
            f"{where}: {num_patches} positions are no square grid, and no weight tells"
            " their shape; needs source_image_size, the size that it was trained on"
        )
    grid = (side,) * axes
    assert prod(grid) == num_patches
    return tuple(g * p for g, p in zip(grid, patch, strict=True))
