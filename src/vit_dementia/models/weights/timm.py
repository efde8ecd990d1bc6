"""State dicts under timm's names, which are ours: nothing to rename."""

from __future__ import annotations

import re

from vit_dementia.models.weights.describe import describe
from vit_dementia.models.weights.record import RawFile, Weights
from vit_dementia.models.weights.torchvision import IMAGENET_MEAN, IMAGENET_STD


def recognize(names: set[str]) -> bool:
    """Say whether these are timm's names."""
    return {"patch_embed.proj.weight", "blocks.0.attn.qkv.weight"} <= names


def convert(raw: RawFile) -> Weights:
    """Take the weights as they are; ``config.json`` beside them tells what they omit.

    Raises:
        CheckpointError: if they are no whole network.
    """
    told = raw.config.get("pretrained_cfg", {})
    arguments = raw.config.get("model_args", {})
    size = raw.image_size or _sides(arguments.get("img_size"))
    return Weights(
        state=raw.state,
        architecture=describe(
            raw.state,
            where=raw.path,
            num_heads=raw.num_heads or arguments.get("num_heads"),
            image_size=size,
        ),
        classes=raw.classes or _names(raw.config.get("label_names")),
        mean=tuple(told["mean"]) if "mean" in told else IMAGENET_MEAN,
        std=tuple(told["std"]) if "std" in told else IMAGENET_STD,
        layout="timm",
        rule="bicubic-antialias",
    )


def without_prefixes(name: str) -> str:
    """Strip what wrappers for several devices and compiling put in front, in any order.

    >>> without_prefixes("_orig_mod.module.cls_token")
    'cls_token'
    """
    return re.sub(r"^(module\.|_orig_mod\.)+", "", name)


def _sides(size: object) -> tuple[int, ...] | None:
    if isinstance(size, int):
        return (size, size)
    return tuple(size) if isinstance(size, list | tuple) else None


def _names(names: object) -> tuple[str, ...] | None:
    return tuple(map(str, names)) if isinstance(names, list) else None
