"""The sizes of Vision Transformers by name.

Sizes are Table 1 of Dosovitskiy et al. 2021 (arXiv 2010.11929) with the smaller Ti and
S of Touvron et al. 2021 (arXiv 2012.12877); the hybrids are those of Steiner et al.
2022 (arXiv 2106.10270).
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import NamedTuple

from vit_dementia.config import VitConfig
from vit_dementia.errors import ConfigError
from vit_dementia.models.description import Architecture

__all__ = ["SIZES", "VARIANTS", "Architecture", "architecture", "find_variant"]


class Size(NamedTuple):
    """A row of Table 1."""

    embed_dim: int  # D
    depth: int  # layers, L
    num_heads: int  # k
    mlp_dim: int


SIZES: dict[str, Size] = {
    "Ti": Size(192, 12, 3, 768),
    "S": Size(384, 12, 6, 1536),
    "B": Size(768, 12, 12, 3072),
    "L": Size(1024, 24, 16, 4096),
    "H": Size(1280, 32, 16, 5120),
}
PATCHES = (8, 14, 16, 32)


class Variant(NamedTuple):
    """A size with what makes its tokens."""

    size: Size
    patch: int
    resnet: tuple[int, ...] | None = (
        None  # units of each stage in front; None: no ResNet
    )


VARIANTS: dict[str, Variant] = {
    f"ViT-{name}/{patch}": Variant(size, patch)
    for name, size in SIZES.items()
    for patch in PATCHES
} | {
    "R+ViT-Ti/16": Variant(SIZES["Ti"], 8, ()),
    "R26+ViT-S/32": Variant(SIZES["S"], 1, (2, 2, 2, 2)),
    "R26+ViT-B/32": Variant(SIZES["B"], 1, (2, 2, 2, 2)),
    "R50+ViT-B/16": Variant(SIZES["B"], 1, (3, 4, 9)),
    "R50+ViT-L/32": Variant(SIZES["L"], 1, (3, 4, 6, 3)),
}


def architecture(
    variant: str,
    vit: VitConfig | None = None,
    *,
    image_size: tuple[int, ...],
    channels: int = 1,
    num_classes: int,
) -> Architecture:
    """Describe the network that a variant's name and the numbers set beside it mean.

    >>> architecture("ViT-B/16", image_size=(208, 176), num_classes=4).num_patches
    143

    Raises:
        ConfigError: if the variant is unknown or the numbers contradict one another.
    """
    vit = VitConfig() if vit is None else vit
    size, patch, resnet = find_variant(variant)
    return Architecture(
        image_size=tuple(image_size),
        patch_size=(given(vit.patch_size, patch),) * len(image_size),
        channels=channels,
        num_classes=num_classes,
        embed_dim=given(vit.embed_dim, size.embed_dim),
        depth=given(vit.depth, size.depth),
        num_heads=given(vit.num_heads, size.num_heads),
        mlp_dim=given(vit.mlp_dim, size.mlp_dim),
        pooling=vit.pooling,
        stem=vit.stem if resnet is None else "resnet",
        resnet=resnet or (),
        class_token=vit.pooling == "cls",  # App. D.3: averaging needs no class token
        positions=vit.positions,
        locality=vit.locality,
        num_registers=vit.registers,
        layer_scale=vit.layer_scale,
        qk_norm=vit.qk_norm,
        dropout=vit.dropout,
        attention_dropout=vit.attention_dropout,
        drop_path=vit.drop_path,
        layer_norm_eps=vit.layer_norm_eps,
    )


def find_variant(name: str) -> Variant:
    """Return the numbers that a name like ``ViT-B/16`` stands for.

    >>> find_variant("ViT-B/16").size
    Size(embed_dim=768, depth=12, num_heads=12, mlp_dim=3072)

    Raises:
        ConfigError: if there is no such variant; names the nearest one.
    """
    if name in VARIANTS:
        return VARIANTS[name]
    lower = {known.lower(): known for known in VARIANTS}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0)
    raise ConfigError(
        f"model: unknown variant {name!r}; the nearest is {lower[near[0]]!r}; needs"
        f" ViT- with one of {', '.join(SIZES)} and a patch of"
        f" {', '.join(f'/{patch}' for patch in PATCHES)}, or a hybrid:"
        f" {', '.join(name for name in VARIANTS if name.startswith('R'))}"
    )


def with_dropout(description: Architecture, vit: VitConfig) -> Architecture:
    """Return the same network with the settings that need no other weights taken over.

    Loaded weights fix the shape; what drops while training is the run's to choose.
    """
    return replace(
        description,
        dropout=vit.dropout,
        attention_dropout=vit.attention_dropout,
        drop_path=vit.drop_path,
    )


def given(value: int | None, default: int) -> int:
    """Return ``value`` unless it was left out.

    >>> given(None, 12), given(6, 12)
    (12, 6)
    """
    return default if value is None else value
