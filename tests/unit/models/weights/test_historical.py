"""Against a class written here from the documented key names of the old project."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from vit_dementia.errors import CheckpointError
from vit_dementia.models.weights import load_model, read_weights
from vit_dementia.models.weights.historical import (
    classes_file,
    from_historical,
    save,
    to_historical,
)

CLASSES = ("Mild", "Moderate", "Non", "Very Mild", "Z")


class Patches(nn.Module):
    def __init__(self, channels: int, patch: int, dim: int) -> None:
        super().__init__()
        self.patcher = nn.Conv2d(channels, dim, patch, patch)

    def forward(self, x):
        return self.patcher(x).flatten(2).permute(0, 2, 1)


class AttentionPart(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(dim)
        self.multihead_attention = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, x):
        x = self.layer_norm(x)
        return self.multihead_attention(x, x, x, need_weights=False)[0]


class MlpPart(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, hidden),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(hidden, dim),
            nn.Dropout(0.1),
        )

    def forward(self, x):
        return self.mlp(self.layer_norm(x))


class Layer(nn.Module):
    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.msa_block = AttentionPart(dim, heads)
        self.mlp_block = MlpPart(dim, hidden)

    def forward(self, x):
        x = self.msa_block(x) + x
        return self.mlp_block(x) + x


class HistoricalViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.empty(1, 1, 24))
        self.position_embedding = nn.Parameter(torch.empty(1, 7, 24))
        self.patch_embedding_layer = Patches(3, 16, 24)
        self.transformer_encoder = nn.Sequential(*(Layer(24, 3, 40) for _ in range(3)))
        self.classifier = nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 5))

    def forward(self, x):
        tokens = self.patch_embedding_layer(x)
        first = self.class_embedding.expand(x.shape[0], -1, -1)
        z = torch.cat((first, tokens), dim=1) + self.position_embedding
        return self.classifier(self.transformer_encoder(z)[:, 0])


def test_our_weights_give_the_old_class_the_same_logits(small, images) -> None:
    ours = small(layer_norm_eps=1e-5)
    theirs = HistoricalViT().double().eval()
    theirs.load_state_dict(to_historical(ours.state_dict(), ours.architecture))
    torch.testing.assert_close(theirs(images), ours(images), rtol=1e-9, atol=1e-9)


def test_an_old_file_opens_to_the_same_logits(small, images, tmp_path) -> None:
    theirs = HistoricalViT().double().eval()
    theirs.load_state_dict(
        to_historical(
            small(seed=3, layer_norm_eps=1e-5).state_dict(),
            small(layer_norm_eps=1e-5).architecture,
        )
    )
    path = tmp_path / "ViTModel.pth"
    torch.save(theirs.state_dict(), path)
    content = {"classes": CLASSES, "num_heads": 3, "image_size": [32, 48]}
    classes_file(path).write_text(json.dumps(content))
    ours = load_model(path).eval()
    torch.testing.assert_close(ours(images), theirs(images), rtol=1e-9, atol=1e-9)
    assert read_weights(path).classes == CLASSES
    images.requires_grad_()
    mine = torch.autograd.grad(ours(images).sum(), images)
    their = torch.autograd.grad(theirs(images).sum(), images)
    torch.testing.assert_close(mine, their, rtol=1e-9, atol=1e-9)


def test_the_usual_eps_would_be_seen_to_be_wrong(small, images) -> None:
    """The trap: these files look like timm's but for an eps of 1e-5."""
    ours = small(layer_norm_eps=1e-6)
    theirs = HistoricalViT().double().eval()
    with pytest.raises(CheckpointError, match="layer_norm_eps is 1e-06"):
        to_historical(ours.state_dict(), ours.architecture)
    as_if = replace(ours.architecture, layer_norm_eps=1e-5)
    theirs.load_state_dict(to_historical(ours.state_dict(), as_if))
    assert (theirs(images) - ours(images)).abs().max() > 1e-6


def test_names_there_and_back_are_bit_for_bit_the_same(small) -> None:
    model = small(layer_norm_eps=1e-5)
    state = model.state_dict()
    back = from_historical(to_historical(state, model.architecture))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_a_file_that_does_not_say_its_classes_needs_them(small, tmp_path) -> None:
    model = small(layer_norm_eps=1e-5, image_size=(32, 32), embed_dim=192)
    path = tmp_path / "ViTModel.pth"
    save(path, model.state_dict(), model.architecture, CLASSES)
    assert read_weights(path).classes == CLASSES
    torch.load(path, weights_only=True)
    classes_file(path).unlink()
    for read in (read_weights, load_model):
        with pytest.raises(
            CheckpointError, match=r"ViTModel\.classes\.json.*--classes"
        ):
            read(path)
    assert read_weights(path, classes=CLASSES).classes == CLASSES
    assert load_model(path, classes=CLASSES).architecture.num_classes == 5
    assert load_model(path, num_classes=2).architecture.num_classes == 2  # a new head
    with pytest.raises(CheckpointError, match="needs a name for each"):
        read_weights(path, classes=("a", "b"))


def test_two_class_lists_that_differ_are_refused(small, tmp_path) -> None:
    model = small(layer_norm_eps=1e-5)
    path = tmp_path / "ViTModel.pth"
    save(path, model.state_dict(), model.architecture, CLASSES)
    with pytest.raises(CheckpointError, match="one truth"):
        read_weights(path, classes=CLASSES[::-1])
    classes_file(path).write_text('{"names": 3}')
    with pytest.raises(CheckpointError, match="list of class names"):
        read_weights(path)


def test_a_class_list_alone_may_lie_beside_the_file(small, tmp_path) -> None:
    model = small(layer_norm_eps=1e-5, image_size=(32, 32), embed_dim=192)
    path = tmp_path / "ViTModel.pth"
    save(path, model.state_dict(), model.architecture, CLASSES)
    classes_file(path).write_text(json.dumps(CLASSES))
    assert read_weights(path).classes == CLASSES
