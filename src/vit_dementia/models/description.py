"""The full description of one network: what must be known so that weights fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any, Literal

from vit_dementia.errors import CheckpointError, ConfigError

Activation = Literal["gelu", "gelu_tanh", "swiglu"]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Everything needed to build a network whose weights then fit: no more, no less.

    The defaults are the paper's. Features below the line are other people's.

    Raises:
        ConfigError: if the numbers contradict one another.
    """

    image_size: tuple[int, ...]  # height, width; or depth, height, width
    patch_size: tuple[int, ...]  # P, one for each axis of the image (or of the stem)
    channels: int
    num_classes: int  # 0: no head, the pooled features come out
    embed_dim: int  # D
    depth: int  # L
    num_heads: int  # k
    mlp_dim: int  # numbers that the MLP's second layer reads
    pooling: Literal["cls", "mean", "map"] = "cls"  # App. D.3; map: Zhai et al. 2022
    class_token: bool = True
    qkv_bias: bool = True
    dropout: float = 0.0  # in the four places of App. B.1
    layer_norm_eps: float = 1e-6
    activation: Activation = "gelu"  # tanh: in the paper's own code; swiglu: gated
    pre_logits: int = 0  # width of a dense layer and tanh before the head; 0: none
    positions: Literal["learned", "sincos", "none"] = "learned"
    stem: Literal["patch", "resnet", "conv", "shifted"] = "patch"
    resnet: tuple[int, ...] = ()  # units in each stage of the paper's hybrids
    # ---
    attention_dropout: float = 0.0  # Vaswani et al. 2017
    drop_path: float = (
        0.0  # of the last block, rising linearly to it; Huang et al. 2016
    )
    position_prefix: bool = True  # whether tokens that are no patch have positions
    num_registers: int = 0  # Darcet et al. 2024, arXiv 2309.16588
    distilled: bool = False  # second token and head; Touvron et al. 2021, 2012.12877
    layer_scale: float | None = None  # where it begins; Touvron et al. 2021, 2103.17239
    qk_norm: bool = False  # Dehghani et al. 2023, arXiv 2302.05442
    fc_norm: bool = False  # normalize after averaging instead of before: timm, MAE
    locality: bool = False  # locality self-attention; Lee et al. 2021, 2112.13492
    slice_attention: int = 0  # width of the scores of slices; Ilse et al. 2018; 0: none
    logits_tanh: bool = False  # as MONAI has it
    visible: tuple[int, ...] | None = None  # patches that are read; None: all

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
        faults += self._token_faults()
        if not faults:
            faults += self._geometry_faults()
        if faults:
            raise ConfigError.of(faults)

    def _token_faults(self) -> list[str]:
        faults = []
        if self.pooling == "cls" and not self.class_token:
            faults.append("pooling: 'cls' needs a class token, and there is none")
        if self.distilled and self.pooling != "cls":
            faults.append("distilled: needs pooling 'cls'")
        if self.fc_norm and self.pooling != "mean":
            faults.append("fc_norm: needs pooling 'mean'")
        if self.slice_attention < 0:
            faults.append(f"slice_attention: found {self.slice_attention}; needs >= 0")
        if self.stem != "resnet" and self.resnet:
            faults.append("resnet: needs stem 'resnet'")
        return faults

    def _geometry_faults(self) -> list[str]:
        faults = []
        image, patch = _times(self.image_size), _times(self.token_size)
        if len(self.image_size) not in (2, 3) or len(self.image_size) != len(
            self.patch_size
        ):
            faults.append(
                f"image_size: found {image} and patches of {patch}; both need two axes,"
                " or both three"
            )
        elif any(i % p for i, p in zip(self.image_size, self.token_size, strict=True)):
            faults.append(
                f"image_size: {image} is not a whole number of {patch} patches; choose"
                " sides that are multiples of the patch"
            )
        if self.visible is not None and not _are_places(self.visible, self.num_patches):
            faults.append(
                f"visible: found {len(self.visible)} patches; needs one or more of"
                f" {self.num_patches}, each once, in rising order"
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
            i // p for i, p in zip(self.image_size, self.token_size, strict=True)
        )

    @property
    def token_size(self) -> tuple[int, ...]:
        """Pixels from one token to the next: P, times the stride of a ResNet before."""
        stride = 1
        if (
            self.stem == "resnet"
        ):  # root and pooling halve, each stage but the first too
            stride = 4 * 2 ** max(len(self.resnet) - 1, 0)
        return tuple(p * stride for p in self.patch_size)

    @property
    def num_patches(self) -> int:
        """The paper's N."""
        return prod(self.grid)

    @property
    def num_prefix_tokens(self) -> int:
        """Tokens in front of the patches: rows of the sequence that are no place."""
        return int(self.class_token) + int(self.distilled) + self.num_registers

    @property
    def num_prefix_positions(self) -> int:
        """Rows of the position embeddings that belong to those tokens."""
        return self.num_prefix_tokens if self.position_prefix else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the description as JSON can hold it."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Architecture:
        """Take back what ``to_dict`` gave.

        >>> sizes = {"embed_dim": 8, "depth": 1, "num_heads": 2, "mlp_dim": 16}
        >>> places = {"image_size": (8, 8), "patch_size": (4, 4), "channels": 1}
        >>> small = Architecture(**sizes, **places, num_classes=2)
        >>> Architecture.from_dict(small.to_dict()) == small
        True

        Raises:
            CheckpointError: if keys are unknown or missing, or values of another type.
            ConfigError: if the numbers contradict one another.
        """
        from pydantic import TypeAdapter, ValidationError  # slow to import

        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(content) - known):
            raise CheckpointError(
                f"architecture: unknown keys {', '.join(unknown)}; written by a newer"
                " version; needs one that knows them"
            )
        try:
            return TypeAdapter(cls).validate_json(json.dumps(content), strict=True)
        except ValidationError as error:
            faults = [
                f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
                for fault in error.errors()
            ]
            raise CheckpointError(f"architecture: {'; '.join(faults)}") from error


def stride_of(stem: str, resnet: tuple[int, ...]) -> int:
    """Return how much smaller an image is when it comes to be cut into patches.

    >>> stride_of("patch", ()), stride_of("resnet", (3, 4, 9))
    (1, 16)
    """
    if stem != "resnet":
        return 1
    return 4 * 2 ** max(
        len(resnet) - 1, 0
    )  # root, its pooling, each stage but the first


def _are_places(numbers: tuple[int, ...], count: int) -> bool:
    return (
        len(numbers) > 0
        and numbers == tuple(sorted(set(numbers)))
        and numbers[0] >= 0
        and numbers[-1] < count
    )


def _times(sides: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in sides)
