"""A network that reads some patches does what masked auto-encoders do with them."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import ViTMAEConfig, ViTMAEModel

from vit_dementia.errors import CheckpointError, ConfigError
from vit_dementia.models import create_model
from vit_dementia.models.weights import load_model
from vit_dementia.models.weights.record import Weights
from vit_dementia.models.weights.saving import FORMATS, save_weights

VISIBLE = (1, 2, 4, 7)


@pytest.fixture
def network():
    torch.manual_seed(0)
    made = create_model(
        "ViT-Ti/16",
        num_classes=3,
        image_size=(48, 48),
        channels=1,
        depth=2,
        embed_dim=16,
        num_heads=2,
        mlp_dim=32,
    ).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


def _weights(network) -> Weights:
    return Weights(
        state=network.state_dict(),
        architecture=network.architecture,
        classes=("a", "b", "c"),
        mean=None,
        std=None,
        layout="native",
        rule="bicubic",
    )


def test_it_equals_the_encoder_of_a_masked_auto_encoder(network, tmp_path) -> None:
    config = ViTMAEConfig(
        image_size=48,
        patch_size=16,
        num_channels=1,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        layer_norm_eps=1e-6,
        mask_ratio=1 - len(VISIBLE) / 9 - 1e-6,
    )
    save_weights(_weights(network), tmp_path, "huggingface", channels=1)
    theirs = ViTMAEModel.from_pretrained(tmp_path, config=config).double()
    # It keeps the patches of least noise, in the order of the noise.
    noise = torch.ones(2, 9, dtype=torch.float64)
    for rank, place in enumerate(VISIBLE):
        noise[:, place] = rank / 100
    images = torch.randn(2, 1, 48, 48, dtype=torch.float64)
    expected = theirs.eval()(images, noise=noise).last_hidden_state
    found = network.seeing(VISIBLE).forward_features(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_what_it_does_not_read_changes_nothing(network) -> None:
    images = torch.randn(2, 1, 48, 48, dtype=torch.float64)
    other = images.clone()
    other[:, :, :16, :16] = 9.0  # patch 0
    seeing = network.seeing(VISIBLE)
    torch.testing.assert_close(seeing(images), seeing(other), rtol=0, atol=0)
    assert not torch.allclose(network(images), network(other))


def test_of_a_volume_it_reads_the_cubes_it_was_told() -> None:
    torch.manual_seed(0)
    model = create_model(
        "ViT-Ti/16", num_classes=3, image_size=(32, 48, 32), depth=2, embed_dim=24,
        num_heads=2, mlp_dim=32,
    ).eval()  # fmt: skip
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    volumes = torch.randn(2, 1, 32, 48, 32)
    seeing = model.seeing((0, 3, 7, 11))
    tokens = model.embed(volumes)
    torch.testing.assert_close(seeing.embed(volumes), tokens[:, [0, 1, 4, 8, 12]])
    other = volumes.clone()
    other[..., :16, :16, 16:] = 9.0  # cube 1: first plane and row, second column
    torch.testing.assert_close(seeing(volumes), seeing(other), rtol=0, atol=0)
    other[..., :16, 16:32, 16:] = 9.0  # cube 3
    assert not torch.allclose(seeing(volumes), seeing(other))


def test_the_twin_shares_its_weights_and_leaves_the_other_as_it_was(network) -> None:
    images = torch.randn(1, 1, 48, 48, dtype=torch.float64)
    before = network(images)
    twin = network.seeing(VISIBLE)
    assert all(
        a is b for a, b in zip(twin.parameters(), network.parameters(), strict=True)
    )
    torch.testing.assert_close(network(images), before, rtol=0, atol=0)
    torch.testing.assert_close(twin.seeing(None)(images), before, rtol=0, atol=0)
    torch.testing.assert_close(
        network.seeing(tuple(range(9)))(images), before, rtol=1e-12, atol=1e-12
    )
    assert twin.state_dict().keys() == network.state_dict().keys()


def test_the_twin_compiles_exports_and_copies(network) -> None:
    twin = network.seeing(VISIBLE).float()
    images = torch.randn(2, 1, 48, 48)
    expected = twin(images)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(twin, (images,), dynamic_shapes=({0: batch},))
    torch.testing.assert_close(exported.module()(images), expected)
    torch.testing.assert_close(copy.deepcopy(twin)(images), expected)
    weights = twin.attention_weights(images)[0]
    assert weights.shape[-2:] == (1 + len(VISIBLE),) * 2


@pytest.mark.parametrize("visible", [(), (3, 3), (5, 2), (-1, 2), (2, 9)])
def test_places_that_are_none_are_refused(network, visible) -> None:
    with pytest.raises(ConfigError, match="visible: found"):
        network.seeing(visible)


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"native"}))
def test_other_layouts_refuse_it_by_name(network, form, tmp_path) -> None:
    twin = network.seeing(VISIBLE)
    weights = _weights(twin)
    with pytest.raises(CheckpointError, match="reads 4 of 9 patches"):
        save_weights(weights, tmp_path, form)
    assert not list(tmp_path.iterdir())
    path = save_weights(weights, tmp_path, "native").parent
    images = torch.randn(2, 1, 48, 48, dtype=torch.float64)
    reopened = load_model(path).eval()
    assert reopened.architecture.visible == VISIBLE
    torch.testing.assert_close(reopened(images), twin(images), rtol=0, atol=0)
    larger = load_model(path, image_size=(64, 48))
    assert larger.architecture.visible is None  # the places lay on another grid
