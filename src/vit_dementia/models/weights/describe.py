"""What a state dict under timm's names says of its network, and what others know."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod
from typing import Any

from torch import Tensor

from vit_dementia.errors import CheckpointError, ConfigError
from vit_dementia.models.description import Architecture, stride_of
from vit_dementia.models.positions import Rule
from vit_dementia.models.variants import SIZES
from vit_dementia.models.weights.record import RawFile, Weights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# g and G: Zhai et al. 2022 (arXiv 2106.04560); So400m: Alabdulmohsin et al. 2023
# (arXiv 2305.13035). Width 1536 has 24 heads in DINOv2 and 16 in SigLIP 2.
HEADS_OF_WIDTH = {size.embed_dim: size.num_heads for size in SIZES.values()}
HEADS_OF_WIDTH |= {1152: 16, 1408: 16, 1664: 16}
HEADS_OF_WIDTH |= {256: 4, 320: 5, 512: 8, 640: 10, 832: 13, 896: 14}  # timm's own
HEADS_OF_GATED_WIDTH = HEADS_OF_WIDTH | {1536: 24}


def described(
    raw: RawFile,
    state: dict[str, Tensor],
    *,
    layout: str,
    rule: Rule,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    num_heads: int | None = None,
    image_size: tuple[int, ...] | None = None,
    classes: tuple[str, ...] | None = None,
    **told: Any,
) -> Weights:
    """Return the weights of a file with the description of their network.

    What the user said, or the file of classes beside, counts before what is given here.

    Args:
        raw: the file.
        state: its weights under timm's names.
        layout: who wrote it.
        rule: how these positions go to another grid.
        mean: of each input channel; averaged if there are not as many channels.
        std: likewise.
        num_heads: if the file tells.
        image_size: if the file tells.
        classes: if the file tells.
        told: as for ``describe``.

    Raises:
        CheckpointError: if the weights contradict one another or tell too little.
    """
    description = describe(
        state,
        where=raw.path,
        num_heads=raw.num_heads or num_heads,
        image_size=raw.image_size or image_size,
        **told,
    )
    return Weights(
        state=state,
        architecture=description,
        classes=raw.classes or classes,
        mean=statistics_for_channels(mean, description.channels),
        std=statistics_for_channels(std, description.channels),
        layout=layout,
        rule=rule,
    )


def statistics_for_channels(
    values: Sequence[float] | None, channels: int
) -> tuple[float, ...] | None:
    """Return a mean or deviation for each channel: the average, if they are others.

    >>> statistics_for_channels((0.25, 0.5, 0.75), 1)
    (0.5,)
    """
    if values is None or len(values) == channels:
        return None if values is None else tuple(values)
    return (sum(values) / len(values),) * channels


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
        hidden = state["blocks.0.mlp.fc1.weight"].shape[0]
        mlp_dim = state["blocks.0.mlp.fc2.weight"].shape[-1]
        pos = state["pos_embed"] if told.get("positions") != "none" else None
    except KeyError as error:
        raise CheckpointError(
            f"{where}: {error.args[0]} is missing; needs the weights of a whole Vision"
            " Transformer; nothing was loaded"
        ) from error
    embed_dim, channels, *patch = kernel.shape
    gated = hidden == 2 * mlp_dim
    if num_heads is None and "blocks.0.attn.q_norm.weight" in state:
        num_heads = embed_dim // len(state["blocks.0.attn.q_norm.weight"])
    fields: dict[str, Any] = {
        "patch_size": tuple(patch),
        "channels": channels,
        "num_classes": len(state["head.weight"]) if "head.weight" in state else 0,
        "embed_dim": embed_dim,
        "depth": count_blocks(state, where),
        "num_heads": num_heads or heads_of(embed_dim, where, gated=gated),
        "mlp_dim": mlp_dim,
        "activation": "swiglu" if gated else "gelu",
        "pooling": _pooling(state),
        "class_token": "cls_token" in state,
        "distilled": "dist_token" in state,
        "num_registers": state["reg_token"].shape[1] if "reg_token" in state else 0,
        "qkv_bias": "blocks.0.attn.qkv.bias" in state,
        "qk_norm": "blocks.0.attn.q_norm.weight" in state,
        "layer_scale": 1.0 if "blocks.0.ls1.gamma" in state else None,
        "fc_norm": "fc_norm.weight" in state,
        "pre_logits": len(state.get("pre_logits.fc.weight", ())),
        **_stem(state, where),
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
    names = {m[1] for name in state if (m := re.match(r"blocks\.(\d+)\.", name))}
    wrong = sorted(names - {str(place) for place in range(len(names))})
    if wrong:
        gaps = [str(place) for place in range(len(names)) if str(place) not in names]
        raise CheckpointError(
            f"{where}: has block {wrong[-1][:20]} but not {', '.join(gaps)};"
            " needs every block; nothing was loaded"
        )
    return len(names)


def heads_of(embed_dim: int, where: object, *, gated: bool = False) -> int:
    """Return the published number of heads for a width.

    Raises:
        CheckpointError: if there is none; no state dict tells it.
    """
    known = HEADS_OF_GATED_WIDTH if gated else HEADS_OF_WIDTH
    if embed_dim not in known:
        raise CheckpointError(
            f"{where}: width {embed_dim} has no published number of heads, and no"
            " weight tells it; needs vit.num_heads"
        )
    return known[embed_dim]


def _pooling(state: dict[str, Tensor]) -> str:
    if "attn_pool.latent" in state:
        return "map"
    return "mean" if "fc_norm.weight" in state or "cls_token" not in state else "cls"


def _stem(state: dict[str, Tensor], where: object) -> dict[str, Any]:
    backbone = [name for name in state if name.startswith("patch_embed.backbone.")]
    if not backbone:
        return {}
    start = "patch_embed.backbone."
    root = state.get(f"{start}stem.conv.weight", state.get(f"{start}conv.weight"))
    if root is None:
        raise CheckpointError(
            f"{where}: its stem ({backbone[0]}) is not the ResNet of the hybrids"
        )
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
        side = round(max(num_patches, 1) ** (1 / axes))
        if side**axes == num_patches:
            size = tuple(side * p for p in token_size)
            return size, rows > num_patches or num_prefix == 0
    raise CheckpointError(
        f"{where}: {rows - num_prefix} positions are no square grid, and no weight"
        " tells their shape; needs source_image_size, the size that it was trained on"
    )
