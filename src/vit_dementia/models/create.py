"""A network by the name of its variant."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

import torch

from vit_dementia.config import VitConfig
from vit_dementia.errors import ConfigError
from vit_dementia.models.variants import architecture
from vit_dementia.models.vit import VisionTransformer


def create_model(
    name: str = "ViT-B/16",
    *,
    num_classes: int,
    image_size: tuple[int, ...] = (224, 224),
    channels: int = 1,
    generator: torch.Generator | None = None,
    **vit: Any,
) -> VisionTransformer:
    """Return a fresh Vision Transformer, ready to train from scratch.

    >>> model = create_model("ViT-Ti/16", num_classes=4, image_size=(32, 48), depth=2)
    >>> model(torch.zeros(1, 1, 32, 48)).shape
    torch.Size([1, 4])

    Args:
        name: a variant such as ``ViT-B/16``.
        num_classes: logits to give.
        image_size: height and width; or depth, height and width.
        channels: of the images.
        generator: source of the first weights.
        vit: fields of ``VitConfig`` that differ from the variant, such as ``depth=6``.

    Raises:
        ConfigError: if the variant or a field is unknown, or numbers contradict.
    """
    known = [field.name for field in dataclasses.fields(VitConfig)]
    if unknown := sorted(set(vit) - set(known)):
        near = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0)[0]
        raise ConfigError(f"vit: unknown key {unknown[0]!r}; the nearest is {near!r}")
    config = VitConfig(**vit)
    description = architecture(
        name,
        config,
        image_size=image_size,
        channels=channels,
        num_classes=num_classes,
    )
    return VisionTransformer(description, generator, config.initialization)
