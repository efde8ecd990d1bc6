"""What is not in the paper: each against its own formula, and off by default."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.functional import pad

from vit_dementia.errors import ConfigError
from vit_dementia.models.residual import DropPath
from vit_dementia.models.stems import ShiftedPatchEmbed

FEATURES = {
    "plain": {},
    "registers": {"num_registers": 4, "position_prefix": False},
    "registers with positions": {"num_registers": 2},
    "distilled": {"distilled": True},
    "layer scale": {"layer_scale": 0.1},
    "qk-norm": {"qk_norm": True},
    "no bias": {"qkv_bias": False},
    "mean": {"pooling": "mean", "class_token": False},
    "mean then norm": {"pooling": "mean", "fc_norm": True},
    "map": {"pooling": "map", "class_token": False},
    "pre-logits": {"pre_logits": 7},
    "sincos": {"positions": "sincos"},
    "no positions": {"positions": "none"},
    "locality": {"locality": True},
    "shifted": {"stem": "shifted"},
    "conv": {"stem": "conv"},
    "hybrid": {"stem": "resnet", "resnet": (1, 1), "patch_size": (2, 2)},
    "root only": {"stem": "resnet", "patch_size": (4, 4)},
    "gated": {"activation": "swiglu"},
    "tanh": {"logits_tanh": True, "activation": "gelu_tanh"},
    "volume": {"image_size": (16, 32, 16), "patch_size": (16, 16, 16)},
    "volume, conv": {
        "image_size": (16, 32, 16),
        "patch_size": (16, 16, 16),
        "stem": "conv",
    },
    "volume, sincos": {
        "image_size": (16, 32, 16),
        "patch_size": (16, 16, 16),
        "positions": "sincos",
    },
}


@pytest.mark.parametrize("settings", FEATURES.values(), ids=FEATURES)
def test_every_feature_runs_learns_everywhere_and_survives_copying(small, settings):
    model = small(**settings).train()
    a = model.architecture
    images = torch.randn(3, 3, *a.image_size, dtype=torch.float64)
    logits = model(images)
    assert logits.shape == (3, 5)
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    model.eval()
    torch.testing.assert_close(copy.deepcopy(model)(images), logits)
    weights = model.attention_weights(images, layers=[1])[0]
    assert weights.shape == (3, 3, *(a.num_prefix_tokens + a.num_patches,) * 2)
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    block = model.blocks[1].attn
    z = torch.randn(1, 5, 24, dtype=torch.float64)
    v = block.queries_keys_values(z)[2]
    by_hand = block.proj((block.weights(z) @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(block(z), by_hand)


@pytest.mark.parametrize("settings", FEATURES.values(), ids=FEATURES)
def test_checkpointing_changes_no_gradient(small, settings) -> None:
    model = small(**settings).train()
    images = torch.randn(2, 3, *model.architecture.image_size, dtype=torch.float64)
    model(images).square().sum().backward()
    plain = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    model.gradient_checkpointing = True
    model(images).square().sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, plain[name])


def test_drop_path_drops_whole_images_at_its_rate_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    branch = torch.ones(20_000, 2, 3)
    out = DropPath(0.3).train()(branch)
    per_image = out.flatten(1)
    assert torch.equal(per_image.amin(1), per_image.amax(1))
    dropped = float((per_image[:, 0] == 0).float().mean())
    assert dropped == pytest.approx(0.3, abs=0.01)
    torch.testing.assert_close(out.max(), torch.tensor(1 / 0.7))
    assert torch.equal(DropPath(0.3).eval()(branch), branch)


def test_drop_path_rises_linearly_to_the_last_block(small) -> None:
    model = small(drop_path=0.3, depth=4)
    rates = [block.drop_path1.rate for block in model.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert [block.drop_path2.rate for block in model.blocks] == rates


def test_shifted_patches_join_the_four_diagonal_shifts(small, images) -> None:
    """Against numpy-like slicing of a padded image; zeros come in from outside."""
    stem = small(stem="shifted").patch_embed
    assert isinstance(stem, ShiftedPatchEmbed)
    around = pad(images, (8, 8, 8, 8))
    corners = [around[:, :, y : y + 32, x : x + 48] for y in (16, 0) for x in (16, 0)]
    joined = torch.cat([images, *corners], dim=1)  # b 15 32 48
    patch = joined[:, :, 16:32, 32:48].flatten(1)  # the last one
    torch.testing.assert_close(stem(images)[:, -1], stem.proj(stem.norm(patch)))


def test_locality_attention_is_the_papers_formula(small) -> None:
    attention = small(locality=True).blocks[0].attn
    assert attention.scale.shape == (3, 1, 1)
    z = torch.randn(1, 5, 24, dtype=torch.float64)
    q, k, _ = attention.queries_keys_values(z)
    scores = (q @ k.transpose(-2, -1)) * attention.scale
    scores[:, :, range(5), range(5)] = -987654321  # their number
    torch.testing.assert_close(attention.weights(z), scores.softmax(-1))


def test_sincos_positions_equal_maes_own_construction(small) -> None:
    model = small(positions="sincos")
    assert "pos_embed" not in dict(model.named_parameters())
    fresh = type(model)(model.architecture)
    table = fresh.pos_embed[0]
    assert not table[0].any()  # the class token stands nowhere
    row, column, dim = 1, 2, 24  # of a grid of 2x3
    expected = [
        wave(place * 10_000 ** (-i / (dim / 4)))
        for place in (column, row)
        for wave in (math.sin, math.cos)
        for i in range(dim // 4)
    ]
    torch.testing.assert_close(table[1 + row * 3 + column], torch.tensor(expected))


def test_a_distilled_network_averages_its_two_heads(small, images) -> None:
    model = small(distilled=True)
    z = model.forward_features(images)
    expected = (model.head(z[:, 0]) + model.head_dist(z[:, 1])) / 2
    torch.testing.assert_close(model(images), expected)


def test_norm_then_mean_and_mean_then_norm_differ(small, images) -> None:
    """The trap of global average pooling: the paper's order is not timm's."""
    before = small(pooling="mean", class_token=False)
    after = small(pooling="mean", class_token=False, fc_norm=True)
    names = {"norm.weight": "fc_norm.weight", "norm.bias": "fc_norm.bias"}
    after.load_state_dict({names.get(k, k): v for k, v in before.state_dict().items()})
    assert (before(images) - after(images)).abs().max() > 1e-3


def test_features_that_contradict_one_another_are_refused(small) -> None:
    for settings, message in (
        ({"class_token": False}, "needs a class token"),
        ({"distilled": True, "pooling": "mean"}, "distilled: needs"),
        ({"fc_norm": True}, "fc_norm: needs"),
        ({"resnet": (1,)}, "resnet: needs"),
        ({"stem": "conv", "patch_size": (8, 8)}, "4, 16 or 64"),
        ({"stem": "resnet", "resnet": (1, 1, 1)}, "whole number of 256x256"),
        (FEATURES["volume"] | {"stem": "shifted"}, "not for volumes"),
        (FEATURES["volume"] | {"stem": "resnet", "image_size": (64,) * 3}, "volumes"),
        ({"attention_dropout": 1.0}, "attention_dropout: found 1.0"),
        ({"num_classes": -1}, "num_classes: found -1"),
        ({"image_size": (32, 32, 32)}, "two axes"),
    ):
        with pytest.raises(ConfigError, match=message):
            small(**settings)


# In a process of its own: the checks of shapes in the tests cannot be compiled.
COMPILE_AND_EXPORT = """
import io, json, sys, torch
from vit_dementia.models.description import Architecture
from vit_dementia.models.vit import VisionTransformer

torch.set_num_threads(1)
for name, content in json.load(sys.stdin).items():
    model = VisionTransformer(Architecture.from_dict(content)).eval()
    torch.nn.init.normal_(model.head.weight)
    two, three = (torch.randn(n, 3, *content["image_size"]) for n in (2, 3))
    torch.compiler.reset()  # forget the network before
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(two), model(two), msg=name)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(model, (two,), dynamic_shapes=({0: batch},))
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    again = torch.export.load(file).module()
    torch.testing.assert_close(again(three), model(three), msg=name)
    print(name)
"""


@pytest.mark.slow
def test_every_feature_compiles_and_exports_with_a_free_batch(small) -> None:
    contents = {
        name: small(**settings, depth=1).architecture.to_dict()
        for name, settings in FEATURES.items()
    }
    done = subprocess.run(
        [sys.executable, "-c", COMPILE_AND_EXPORT],
        input=json.dumps(contents),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split("\n")[:-1] == list(FEATURES)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("settings", FEATURES.values(), ids=FEATURES)
def test_every_feature_runs_under_autocast(small, settings, dtype) -> None:
    model = type(small())(small(**settings).architecture).eval()
    images = torch.randn(2, 3, *model.architecture.image_size)
    with torch.autocast("cpu", dtype=dtype):
        low = model(images)
    torch.testing.assert_close(low.float(), model(images), rtol=0.1, atol=0.05)
