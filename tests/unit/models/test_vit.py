from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from einops import rearrange
from torch import nn

from vit_dementia.models.attention import Attention
from vit_dementia.models.description import Architecture
from vit_dementia.models.vit import Block, VisionTransformer

TINY = Architecture(
    image_size=(32, 48),
    patch_size=(16, 16),
    channels=1,
    num_classes=3,
    embed_dim=32,
    depth=3,
    num_heads=4,
    mlp_dim=64,
)


def test_attention_equals_pytorchs_own(randomized) -> None:
    ours = randomized(Attention(TINY))
    theirs = nn.MultiheadAttention(32, 4, batch_first=True)
    theirs.in_proj_weight.data = ours.qkv.weight.data
    theirs.in_proj_bias.data = ours.qkv.bias.data
    theirs.out_proj.load_state_dict(ours.proj.state_dict())
    z = torch.randn(2, 5, 32)
    out, weights = theirs(z, z, z, average_attn_weights=False)
    torch.testing.assert_close(ours(z), out)
    torch.testing.assert_close(ours.weights(z), weights)


def test_block_equals_pytorchs_own_encoder_layer(randomized) -> None:
    ours = randomized(Block(TINY, 0)).double()
    theirs = nn.TransformerEncoderLayer(
        32,
        4,
        64,
        dropout=0.0,
        activation="gelu",
        layer_norm_eps=1e-6,
        batch_first=True,
        norm_first=True,
    ).double()
    names = {
        "self_attn.in_proj_": "attn.qkv.",
        "self_attn.out_proj": "attn.proj",
        "linear1": "mlp.fc1",
        "linear2": "mlp.fc2",
    }
    state = {}
    for key in theirs.state_dict():
        name = key
        for old, new in names.items():
            name = name.replace(old, new)
        state[key] = ours.state_dict()[name]
    theirs.load_state_dict(state)
    z = torch.randn(2, 7, 32, dtype=torch.float64)
    torch.testing.assert_close(ours(z), theirs(z), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("image_size", "patch_size", "pooling"),
    [
        ((32, 48), (16, 16), "cls"),
        ((32, 48), (16, 16), "mean"),
        ((16, 24, 32), (8, 8, 8), "cls"),
        ((16, 24, 32), (8, 8, 8), "mean"),
    ],
)
def test_slices_and_volumes_go_through_the_same_code(image_size, patch_size, pooling):
    model = VisionTransformer(
        replace(
            TINY,
            image_size=image_size,
            patch_size=patch_size,
            pooling=pooling,
            class_token=pooling == "cls",
            channels=2,
        )
    )
    images = torch.randn(2, 2, *image_size)
    assert model(images).shape == (2, 3)
    tokens = model.forward_features(images)
    assert tokens.shape == (2, model.architecture.num_patches + (pooling == "cls"), 32)
    torch.testing.assert_close(model.forward_head(tokens), model(images))


@pytest.mark.parametrize(
    ("image_size", "patch_size", "channels"),
    [
        ((32, 48), (16, 16), 1),
        ((32, 48), (8, 16), 3),
        ((16, 24, 8), (8, 8, 4), 2),
    ],
)
def test_the_matrix_is_pytorchs_convolution(
    randomized, image_size, patch_size, channels
) -> None:
    a = replace(TINY, image_size=image_size, patch_size=patch_size, channels=channels)
    embed = randomized(VisionTransformer(a)).double().patch_embed
    images = torch.randn(2, channels, *image_size, dtype=torch.float64)
    images.requires_grad_()
    expected = embed.proj(images).flatten(2).transpose(1, 2)
    found = embed(images)
    torch.testing.assert_close(found, expected)
    upstream = torch.randn_like(found)
    inputs = [images, embed.proj.weight, embed.proj.bias]
    torch.testing.assert_close(
        torch.autograd.grad(found, inputs, upstream),
        torch.autograd.grad(expected, inputs, upstream),
    )


def test_patches_of_a_volume_are_read_plane_by_plane_then_row_by_row(randomized):
    sides = {"image_size": (32, 32, 48), "patch_size": (16, 16, 16)}
    model = randomized(VisionTransformer(replace(TINY, **sides))).double()
    volume = torch.randn(1, 1, 32, 32, 48, dtype=torch.float64)
    patches = rearrange(
        volume, "b c (d l) (h m) (w n) -> b (d h w) (c l m n)", l=16, m=16, n=16
    )
    kernel = model.patch_embed.proj
    by_matrix = patches @ kernel.weight.flatten(1).T + kernel.bias  # Eq. 1
    torch.testing.assert_close(model.patch_embed(volume), by_matrix)
    one = torch.zeros_like(volume)
    one[..., 16:, :16, 32:] = 1  # second plane, first row, third column
    changed = model.patch_embed(one) != model.patch_embed(torch.zeros_like(one))
    assert changed.any(dim=2)[0].nonzero().flatten().tolist() == [1 * 6 + 0 * 3 + 2]


def test_attention_weights_are_those_of_the_forward_pass_and_rows_sum_to_one(
    randomized,
) -> None:
    model = randomized(VisionTransformer(TINY)).eval()
    images = torch.randn(2, 1, 32, 48)
    weights = model.attention_weights(images)
    assert [w.shape for w in weights] == [(2, 4, 7, 7)] * 3
    for layer in weights:
        torch.testing.assert_close(layer.sum(-1), torch.ones(2, 4, 7))
    (last,) = model.attention_weights(images, layers=[-1])
    torch.testing.assert_close(last, weights[2])
    first = model.blocks[0].attn
    z = model.blocks[0].norm1(model.embed(images))
    v = first.queries_keys_values(z)[2]
    by_hand = first.proj((weights[0] @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(by_hand, first(z))


def test_dropout_acts_in_the_papers_four_places_and_nowhere_else(monkeypatch) -> None:
    acted: list[tuple[str, torch.Size]] = []
    model = VisionTransformer(replace(TINY, dropout=0.5, depth=1)).train()
    names = {id(module): name for name, module in model.named_modules()}

    def spy(self, z):
        acted.append((names[id(self)], z.shape))
        return z

    monkeypatch.setattr(nn.Dropout, "forward", spy)
    shares = []
    monkeypatch.setattr(
        "vit_dementia.models.attention.scaled_dot_product_attention",
        lambda q, k, v, dropout_p: shares.append(dropout_p) or v,
    )
    monkeypatch.setattr(  # any other way to drop would raise
        "torch.nn.functional.dropout", lambda *_: pytest.fail("dropped elsewhere")
    )
    model(torch.randn(2, 1, 32, 48))
    assert acted == [
        ("pos_drop", (2, 7, 32)),  # after adding the positions
        ("blocks.0.attn.proj_drop", (2, 7, 32)),  # after the attention's dense layer
        ("blocks.0.mlp.drop1", (2, 7, 64)),  # after the first, activated
        ("blocks.0.mlp.drop2", (2, 7, 32)),  # after the second
    ]
    assert shares == [0.0]


def test_nothing_drops_in_evaluation(randomized) -> None:
    model = randomized(
        VisionTransformer(
            replace(TINY, dropout=0.5, attention_dropout=0.5, drop_path=0.5)
        )
    )
    images = torch.randn(2, 1, 32, 48)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))
    plain = VisionTransformer(TINY).eval()
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(plain(images), model(images))


def test_the_same_generator_gives_the_same_weights() -> None:
    one, two = (
        VisionTransformer(TINY, torch.Generator().manual_seed(7)) for _ in range(2)
    )
    other = VisionTransformer(TINY, torch.Generator().manual_seed(8))
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name]), name
    assert not torch.equal(one.pos_embed, other.pos_embed)


def test_every_parameter_learns_after_one_step() -> None:
    """At the first step the zero head stops the gradient; after it nothing may."""
    model = VisionTransformer(TINY)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images, labels = torch.randn(6, 1, 32, 48), torch.tensor([0, 1, 2, 0, 1, 2])
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_images_of_another_size_are_refused() -> None:
    model = VisionTransformer(TINY)
    with pytest.raises(ValueError, match=r"found \(1, 48, 32\).*needs \(1, 32, 48\)"):
        model(torch.zeros(1, 1, 48, 32))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_gives_nearly_the_same_logits(dtype) -> None:
    model = VisionTransformer(TINY).eval()
    nn.init.normal_(model.head.weight, std=0.1)
    images = torch.randn(2, 1, 32, 48)
    with torch.autocast("cpu", dtype=dtype):
        low = model(images)
    torch.testing.assert_close(low.float(), model(images), rtol=0.1, atol=0.05)
