"""The architecture that a state dict under timm's names speaks of."""

from __future__ import annotations

import re
from math import prod
from typing import Any

from torch import Tensor

from vit_dementia.errors import CheckpointError, ConfigError
from vit_dementia.models.description import Architecture, stride_of
from vit_dementia.models.variants import SIZES

HEADS_OF_WIDTH = {size.embed_dim: size.num_heads for size in SIZES.values()}


def describe(
    state: dict[str, Tensor],
    *,
    where: object,
    num_heads: int | None = None,
    image_size: tuple[int, ...] | None = None,
    **told: Any,
) -> Architecture:
    """Read off the names and shapes of weights what network they belong to.

    Args:
        state: under timm's names.
        where: the file, for messages.
        num_heads: if known; else the published number for the width.
        image_size: if known; else positions must form a square.
        told: other fields of the architecture that no shape tells, such as
            ``layer_norm_eps``; they win over what is read off.

    Raises:
        CheckpointError: if the weights contradict one another or tell too little.
    """
    try:
        kernel = state["patch_embed.proj.weight"]
        mlp_dim = state["blocks.0.mlp.fc1.weight"].shape[0]
        pos = state["pos_embed"] if told.get("positions") != "none" else None
    except KeyError as error:
        raise CheckpointError(
            f"{where}: {error.args[0]} is missing; needs the weights of a whole Vision"
            " Transformer; nothing was loaded"
        ) from error
    embed_dim, channels, *patch = kernel.shape
    fields: dict[str, Any] = {
        "patch_size": tuple(patch),
        "channels": channels,
        "num_classes": len(state["head.weight"]) if "head.weight" in state else 0,
        "embed_dim": embed_dim,
        "depth": count_blocks(state, where),
        "num_heads": num_heads or heads_of(embed_dim, where),
        "mlp_dim": mlp_dim,
        "pooling": _pooling(state),
        "class_token": "cls_token" in state,
        "distilled": "dist_token" in state,
        "num_registers": state["reg_token"].shape[1] if "reg_token" in state else 0,
        "qkv_bias": "blocks.0.attn.qkv.bias" in state,
        "qk_norm": "blocks.0.attn.q_norm.weight" in state,
        "layer_scale": 1.0 if "blocks.0.ls1.gamma" in state else None,
        "fc_norm": "fc_norm.weight" in state,
        "pre_logits": len(state.get("pre_logits.fc.weight", ())),
        **_stem(state),
        **told,
    }
    if pos is None:
        size, prefix = image_size, False
        if size is None:
            raise CheckpointError(
                f"{where}: holds no positions; needs source_image_size, the size that"
                " it was trained on"
            )
    else:
        num_prefix = fields["class_token"] + fields["distilled"]
        num_prefix += fields["num_registers"]
        if not fields.get("position_prefix", True):
            num_prefix = 0
        stride = stride_of(fields.get("stem", "patch"), fields.get("resnet", ()))
        token_size = tuple(p * stride for p in fields["patch_size"])
        size, prefix = _places(pos.shape[1], num_prefix, token_size, image_size, where)
        fields.setdefault("position_prefix", prefix)
    try:
        return Architecture(image_size=size, **fields)
    except ConfigError as error:
        reasons = "; ".join(error.faults)
        raise CheckpointError(f"{where}: {reasons}") from error


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


def _pooling(state: dict[str, Tensor]) -> str:
    if "attn_pool.latent" in state:
        return "map"
    return "mean" if "fc_norm.weight" in state or "cls_token" not in state else "cls"


def _stem(state: dict[str, Tensor]) -> dict[str, Any]:
    backbone = [name for name in state if name.startswith("patch_embed.backbone.")]
    if not backbone:
        return {}
    root = next(state[name] for name in backbone if name.endswith("conv.weight"))
    units: dict[int, set[int]] = {}
    for name in backbone:
        if match := re.search(r"stages\.(\d+)\.blocks\.(\d+)\.", name):
            units.setdefault(int(match[1]), set()).add(int(match[2]))
    sizes = tuple(len(units[stage]) for stage in sorted(units))
    return {"stem": "resnet", "resnet": sizes, "channels": root.shape[1]}


def _places(
    rows: int,
    num_prefix: int,
    token_size: tuple[int, ...],
    image_size: tuple[int, ...] | None,
    where: object,
) -> tuple[tuple[int, ...], bool]:
    """Return the image size, and whether prefix tokens have positions of their own."""
    if image_size is not None:
        sides = zip(image_size, token_size, strict=True)
        num_patches = prod(i // p for i, p in sides)
        if rows - num_patches not in (0, num_prefix):
            raise CheckpointError(
                f"{where}: has {rows} positions; an image of {image_size} needs"
                f" {num_patches}, or {num_patches + num_prefix} with the prefix tokens"
            )
        return tuple(image_size), rows > num_patches or num_prefix == 0
    axes = len(token_size)
    for num_patches in (rows - num_prefix, rows):
        side = round(num_patches ** (1 / axes))
        if side > 0 and side**axes == num_patches:
            size = tuple(side * p for p in token_size)
            return size, rows > num_patches or num_prefix == 0
    raise CheckpointError(
        f"{where}: {rows - num_prefix} positions are no square grid, and no weight"
        " tells their shape; needs source_image_size, the size that it was trained on"
    )
