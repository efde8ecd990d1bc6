"""What timm's files and the ``config.json`` beside them tell."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from vit_dementia.config import VitConfig
from vit_dementia.errors import CheckpointError, ConfigError
from vit_dementia.models.weights import load_model, load_weights, read_weights

THREE = VitConfig(num_heads=3)


def test_the_old_representation_layer_stands_before_the_head(small, tmp_path) -> None:
    theirs = small(image_size=(32, 32), pre_logits=7)
    assert {"pre_logits.fc.weight", "pre_logits.fc.bias"} <= set(theirs.state_dict())
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "a.pth")
    ours = load_model(tmp_path / "a.pth", vit=THREE).eval()
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    y = ours.forward_features(images)[:, 0]
    w = theirs.state_dict()
    representation = torch.tanh(
        y @ w["pre_logits.fc.weight"].T + w["pre_logits.fc.bias"]
    )
    expected = representation @ w["head.weight"].T + w["head.bias"]
    torch.testing.assert_close(ours(images), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [
        ({"architecture": "vit_tiny_patch16_224"}, "activation", "gelu"),
        ({"architecture": "vit_base_patch32_siglip_256"}, "activation", "gelu_tanh"),
        ({"model_args": {"act_layer": "gelu_tanh"}}, "activation", "gelu_tanh"),
        ({"global_pool": "avg"}, "pooling", "mean"),
        ({"global_pool": "token"}, "pooling", "cls"),
        ({"model_args": {"num_heads": 6}}, "num_heads", 6),
        ({"architecture": "vit_base_patch16_gap_224"}, "num_heads", 16),
        ({}, "num_heads", 3),
    ],
)
def test_a_config_tells_what_no_weight_tells(
    small, tmp_path, config, field, value
) -> None:
    model = small(image_size=(32, 32), embed_dim=192)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert getattr(read_weights(tmp_path).architecture, field) == value


def test_mean_deviation_and_names_travel_with_the_weights(small, tmp_path) -> None:
    model = small(image_size=(32, 32), embed_dim=192)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    config = {
        "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7]},
        "label_names": ["a", "b", "c", "d", "e"],
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = read_weights(tmp_path)
    assert weights.mean == (0.1, 0.2, 0.3)
    assert weights.std == (0.5, 0.6, 0.7)
    assert weights.classes == ("a", "b", "c", "d", "e")
    gray = load_weights(tmp_path, channels=1)
    assert gray.mean == pytest.approx((0.2,))


def test_the_width_of_a_head_counts_the_heads(small, tmp_path) -> None:
    model = small(image_size=(32, 32), qk_norm=True)  # a width that nobody published
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    assert read_weights(tmp_path / "a.safetensors").architecture.num_heads == 3


def test_positions_without_rows_for_other_tokens_are_resized(small, tmp_path) -> None:
    model = small(image_size=(32, 32), num_registers=4, position_prefix=False)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    wide = load_model(tmp_path / "a.safetensors", vit=THREE, image_size=(32, 64)).eval()
    assert wide.pos_embed.shape == (1, 8, 24)
    assert wide(torch.zeros(1, 3, 32, 64, dtype=torch.float64)).shape == (1, 5)


def test_a_network_without_positions_takes_images_of_another_size(
    small, tmp_path
) -> None:
    model = small(image_size=(32, 32), positions="none")
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    config = {"model_args": {"pos_embed": "none", "img_size": [32, 32], "num_heads": 3}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    wide = load_model(tmp_path, image_size=(32, 64)).eval()
    image = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    doubled = wide.forward_features(torch.cat([image, image], dim=3))[:, 1:]
    # Each half has the tokens of the other: nothing says where they are.
    rows = doubled.unflatten(1, (2, 4))
    torch.testing.assert_close(rows[:, :, :2], rows[:, :, 2:])


@pytest.mark.parametrize(
    ("settings", "wanted", "message"),
    [
        ({"channels": 1}, {}, r"channels: found 1; needs 3"),
        ({"image_size": (32, 32, 32)}, {}, "needs two sides"),
        ({}, {"patch_size": 4}, "leave it at 2"),
    ],
)
def test_what_is_no_matrix_a_patch_is_not_adapted(
    small, tmp_path, settings, wanted, message
) -> None:
    model = small(image_size=(32, 32), stem="resnet", resnet=(1, 1), patch_size=(2, 2))
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    vit = VitConfig(num_heads=3, **wanted)
    with pytest.raises(ConfigError, match=message):
        load_model(tmp_path / "a.safetensors", vit=vit, **settings)


def test_a_stem_of_another_kind_is_refused(small, tmp_path) -> None:
    model = small(image_size=(32, 32), stem="resnet", resnet=(1, 1), patch_size=(2, 2))
    state = {
        name.replace("backbone.stem.conv", "backbone.conv1.0"): value
        for name, value in model.state_dict().items()
    }
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="is not the ResNet of the hybrids"):
        load_model(tmp_path / "a.safetensors", vit=THREE)
