"""Small networks whose weights all differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from vit_dementia.models.description import Architecture
from vit_dementia.models.vit import VisionTransformer

SMALL = Architecture(
    image_size=(32, 48),
    patch_size=(16, 16),
    channels=3,
    num_classes=5,
    embed_dim=24,
    depth=3,
    num_heads=3,
    mlp_dim=40,
)


def _randomized(model: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.normal_(std=0.3, generator=generator)
    return model


@pytest.fixture
def randomized() -> Callable[..., nn.Module]:
    """Return what gives every weight another value, so that no two can be mistaken."""
    return _randomized


@pytest.fixture
def small() -> Callable[..., VisionTransformer]:
    """Return a maker of small networks, randomized, in float64 and in evaluation."""

    def make(seed: int = 0, **settings: object) -> VisionTransformer:
        model = VisionTransformer(replace(SMALL, **settings)).double().eval()
        _randomized(model, seed)
        return model

    return make


@pytest.fixture
def images() -> torch.Tensor:
    """Return two colour images of the small size."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, 32, 48, dtype=torch.float64, generator=generator)
