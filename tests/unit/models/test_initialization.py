"""Against the spreads that each scheme's own code gives."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import nn

from vit_dementia.models.initialization import SCHEMES
from vit_dementia.models.variants import Architecture
from vit_dementia.models.vit import VisionTransformer

D = 384
A = Architecture(
    image_size=(64, 64),
    patch_size=(16, 16),
    channels=3,
    num_classes=10,
    embed_dim=D,
    depth=1,
    num_heads=6,
    mlp_dim=4 * D,
    num_registers=2,
    layer_scale=0.1,
    pre_logits=128,
)


def spread(value: torch.Tensor) -> float:
    return float(value.detach().std())


def made(scheme: str) -> VisionTransformer:
    return VisionTransformer(A, torch.Generator().manual_seed(0), scheme)


def test_googles_scheme_treats_query_key_and_value_apart() -> None:
    model = made("google")
    block = model.blocks[0]
    for part in block.attn.qkv.weight.chunk(3):  # 0.0510, where the fused has 0.0361
        assert spread(part) == pytest.approx(sqrt(2 / (D + D)), rel=0.01)
    assert spread(block.mlp.fc1.weight) == pytest.approx(sqrt(2 / (5 * D)), rel=0.01)
    assert spread(block.mlp.fc1.bias) == pytest.approx(1e-6, rel=0.1)
    assert spread(model.patch_embed.proj.weight) == pytest.approx(
        1 / sqrt(3 * 256), rel=0.01
    )
    assert spread(model.pos_embed) == pytest.approx(0.02, rel=0.05)
    assert spread(model.pre_logits.fc.weight) == pytest.approx(1 / sqrt(D), rel=0.02)
    assert not model.head.weight.any()
    assert not model.cls_token.any()
    assert not block.attn.qkv.bias.any()


def test_timms_scheme_draws_matrices_from_a_small_normal() -> None:
    model = made("timm")
    assert spread(model.blocks[0].attn.qkv.weight) == pytest.approx(0.02, rel=0.01)
    assert spread(model.head.weight) == pytest.approx(0.02, rel=0.05)
    assert spread(model.pos_embed) == pytest.approx(0.02, rel=0.05)
    assert spread(model.cls_token) == pytest.approx(1e-6, rel=0.1)


def test_maes_scheme_treats_query_key_and_value_as_one() -> None:
    model = made("mae")
    assert spread(model.blocks[0].attn.qkv.weight) == pytest.approx(
        sqrt(2 / (4 * D)), rel=0.01
    )
    kernel = model.patch_embed.proj.weight
    assert spread(kernel) == pytest.approx(sqrt(2 / (3 * 256 + D)), rel=0.01)
    assert spread(model.head.weight) == pytest.approx(2e-5, rel=0.05)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes_set_everything_and_leave_norms_and_scales(scheme) -> None:
    one, two = made(scheme), made(scheme)
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name]), name
        assert value.isfinite().all()
    assert (one.blocks[0].ls1.gamma == 0.1).all()
    for module in one.modules():
        if isinstance(module, nn.LayerNorm):
            assert (module.weight == 1).all()
    assert not torch.equal(one.reg_token[:, 0], one.reg_token[:, 1])
