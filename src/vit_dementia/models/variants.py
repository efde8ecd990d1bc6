"""The sizes of Vision Transformers by name, and the full description of one network.

Sizes are Table 1 of Dosovitskiy et al. 2021 (arXiv 2010.11929) with the smaller Ti and
S of Touvron et al. 2021 (arXiv 2012.12877).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from math import prod
from typing import Any, Literal, NamedTuple

from vit_dementia.config import VitConfig
from vit_dementia.errors import CheckpointError, ConfigError


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
VARIANTS: dict[str, tuple[Size, int]] = {
    f"ViT-{name}/{patch}": (size, patch)
    for name, size in SIZES.items()
    for patch in PATCHES
}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Everything needed to build a network whose weights then fit: no more, no less.

    Raises:
        ConfigError: if the numbers contradict one another.
    """

    image_size: tuple[int, ...]  # height, width; or depth, height, width
    patch_size: tuple[int, ...]  # P, one for each axis of the image
    channels: int
    num_classes: int  # 0: no head, the pooled features come out
    embed_dim: int  # D
    depth: int  # L
    num_heads: int  # k
    mlp_dim: int
    pooling: Literal["cls", "mean"] = "cls"
    class_token: bool = True
    qkv_bias: bool = True
    dropout: float = 0.0  # in the four places of App. B.1
    attention_dropout: float = 0.0
    drop_path: float = 0.0  # of the last block, rising linearly to it
    layer_norm_eps: float = 1e-6
    activation: Literal["gelu", "gelu_tanh"] = "gelu"

    def __post_init__(self) -> None:
        faults = [
            f"{name}: found {value}; needs a whole number above 0"
            for name, value in (
                ("channels", self.channels),
                ("embed_dim", self.embed_dim),
                ("depth", self.depth),
                ("num_heads", self.num_heads),
                ("mlp_dim", self.mlp_dim),
                *(("image_size", side) for side in self.image_size),
                *(("patch_size", side) for side in self.patch_size),
            )
            if value < 1
        ]
        faults += [
            f"{name}: found {value}; needs a share from 0 to below 1"
            for name, value in (
                ("dropout", self.dropout),
                ("attention_dropout", self.attention_dropout),
                ("drop_path", self.drop_path),
            )
            if not 0 <= value < 1
        ]
        if self.num_classes < 0:
            faults.append(f"num_classes: found {self.num_classes}; needs 0 or more")
        if self.pooling == "cls" and not self.class_token:
            faults.append("pooling: 'cls' needs a class token, and there is none")
        if not faults:
            faults += self._geometry_faults()
        if faults:
            raise ConfigError.of(faults)

    def _geometry_faults(self) -> list[str]:
        faults = []
        image, patch = _times(self.image_size), _times(self.patch_size)
        if len(self.image_size) not in (2, 3) or len(self.image_size) != len(
            self.patch_size
        ):
            faults.append(
                f"image_size: found {image} and patches of {patch}; both need two axes,"
                " or both three"
            )
        elif any(i % p for i, p in zip(self.image_size, self.patch_size, strict=True)):
            faults.append(
                f"image_size: {image} is not a whole number of {patch} patches; choose"
                " sides that are multiples of the patch"
            )
        if self.embed_dim % self.num_heads:
            faults.append(
                f"embed_dim: {self.embed_dim} cannot be shared by {self.num_heads}"
                " heads; needs a multiple of num_heads"
            )
        return faults

    @property
    def grid(self) -> tuple[int, ...]:
        """Patches along each axis of the image."""
        return tuple(
            i // p for i, p in zip(self.image_size, self.patch_size, strict=True)
        )

    @property
    def num_patches(self) -> int:
        """The paper's N."""
        return prod(self.grid)

    @property
    def num_prefix_tokens(self) -> int:
        """Tokens in front of the patches: rows of the sequence that are no place."""
        return int(self.class_token)

    def to_dict(self) -> dict[str, Any]:
        """Return the description as JSON can hold it."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Architecture:
        """Take back what ``to_dict`` gave.

        >>> small = architecture("ViT-Ti/16", image_size=(32, 48), num_classes=2)
        >>> Architecture.from_dict(small.to_dict()) == small
        True

        Raises:
            CheckpointError: if keys are unknown or missing.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(content) - known):
            raise CheckpointError(
                f"architecture: unknown keys {', '.join(unknown)}; written by a newer"
                " version; needs one that knows them"
            )
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in content.items()
        }
        try:
            return cls(**values)
        except TypeError as error:
            raise CheckpointError(f"architecture: {error}") from error


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
    size, patch = find_variant(variant)
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
        class_token=vit.pooling == "cls",  # App. D.3: averaging needs no class token
        dropout=vit.dropout,
        attention_dropout=vit.attention_dropout,
        drop_path=vit.drop_path,
        layer_norm_eps=vit.layer_norm_eps,
    )


def find_variant(name: str) -> tuple[Size, int]:
    """Return the size and the patch side that a name like ``ViT-B/16`` stands for.

    >>> find_variant("ViT-B/16")
    (Size(embed_dim=768, depth=12, num_heads=12, mlp_dim=3072), 16)

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
        f" {', '.join(f'/{patch}' for patch in PATCHES)}"
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


def _times(sides: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in sides)
