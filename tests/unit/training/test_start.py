"""The network a run begins with, by its settings."""

from __future__ import annotations

import pytest

from vit_dementia.config import RunConfig, TrainConfig, VitConfig
from vit_dementia.errors import ConfigError
from vit_dementia.models import create_model
from vit_dementia.models.weights import native
from vit_dementia.training.start import begin_model

TWO = ("CN", "AD")
SMALL = {"embed_dim": 24, "num_heads": 2, "depth": 2, "mlp_dim": 48}


@pytest.fixture
def folder(tmp_path):
    """Return a model folder of a small network for two classes."""
    model = create_model("ViT-Ti/16", num_classes=2, image_size=(32, 32), **SMALL)
    native.save(model.state_dict(), model.architecture, TWO, tmp_path)
    return tmp_path


def test_a_low_rank_change_begins_beside_loaded_weights(folder) -> None:
    config = RunConfig(init=str(folder), train=TrainConfig(lora_rank=3))
    model = begin_model(config, classes=TWO, image_size=(32, 32))
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    changes = {f"blocks.{i}.attn.qkv.lora_{x}" for i in range(2) for x in "ab"}
    assert learning == changes | {"head.weight", "head.bias"}
    assert model.blocks[0].attn.qkv.lora_a.shape == (3, 24)
    assert model.blocks[0].attn.qkv.factor == 2
    again = begin_model(config, classes=TWO, image_size=(32, 32))
    assert again.blocks[1].attn.qkv.lora_a.equal(model.blocks[1].attn.qkv.lora_a)


def test_a_low_rank_change_of_random_weights_is_refused() -> None:
    config = RunConfig(vit=VitConfig(**SMALL), train=TrainConfig(lora_rank=3))
    with pytest.raises(ConfigError, match="beside --init scratch"):
        begin_model(config, classes=TWO, image_size=(32, 32))


def test_a_low_rank_change_freezes_by_itself() -> None:
    with pytest.raises(ConfigError, match="none beside lora_rank"):
        TrainConfig(lora_rank=3, freeze="backbone")
    with pytest.raises(ConfigError, match="0 or more"):
        TrainConfig(lora_rank=-1)
