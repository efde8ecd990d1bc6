"""The network a run begins with, by its settings."""

from __future__ import annotations

from typing import get_args

import pytest

from vit_dementia.config import Plane, RunConfig, TrainConfig, VitConfig
from vit_dementia.errors import ConfigError
from vit_dementia.files import sealed, write_json
from vit_dementia.inference.model_folder import PREPROCESSING
from vit_dementia.models import create_model
from vit_dementia.models.weights import load_model, native
from vit_dementia.preparation.slab import SlabPreprocessing
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


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_volumes_begin_from_slices_in_the_plane_that_these_were_cut_in(
    folder, plane
) -> None:
    slab = SlabPreprocessing(
        size=(32, 32), spacing_mm=2.0, plane=plane, slab_mm=(60.0, 90.0), count=3
    )
    write_json(folder / PREPROCESSING, sealed(slab.to_dict()))
    config = RunConfig(init=str(folder))
    begun = begin_model(config, classes=TWO, image_size=(48, 64, 32)).state_dict()
    told = {
        one: load_model(folder, image_size=(48, 64, 32), plane=one).state_dict()
        for one in get_args(Plane)
    }
    for one, state in told.items():
        is_same = all(begun[name].equal(value) for name, value in state.items())
        assert is_same == (one == plane)


def test_kernels_are_spread_as_the_settings_say_or_it_is_refused(folder) -> None:
    cube = (32, 32, 32)
    for how in ("mean", "center"):
        config = RunConfig(init=str(folder), vit=VitConfig(inflation=how))
        begun = begin_model(config, classes=TWO, image_size=cube).patch_embed.proj
        told = load_model(folder, image_size=cube, inflation=how).patch_embed.proj
        assert begun.weight.equal(told.weight)
    with pytest.raises(ConfigError, match="nothing is inflated"):
        begin_model(config, classes=TWO, image_size=(32, 32))
    scratch = RunConfig(vit=VitConfig(inflation="center", **SMALL))
    with pytest.raises(ConfigError, match="--init with weights for slices"):
        begin_model(scratch, classes=TWO, image_size=cube)


def _attention(**settings) -> RunConfig:
    return RunConfig(train=TrainConfig(slice_pooling="attention"), **settings)


def test_attention_over_slices_begins_beside_the_weights_of_a_mean_pooled_run(
    folder,
) -> None:
    loaded = load_model(folder).state_dict()
    model = begin_model(_attention(init=str(folder)), classes=TWO, image_size=(32, 32))
    state = model.state_dict()
    assert all(state[name].equal(value) for name, value in loaded.items())
    assert (model.slice_attention.score.weight == 0).all()
    assert model.slice_attention.hidden.weight.std() > 0


def test_attention_over_slices_goes_on_as_it_was_and_ends_where_mean_is_asked_for(
    folder, tmp_path
) -> None:
    begun = begin_model(_attention(init=str(folder)), classes=TWO, image_size=(32, 32))
    begun.slice_attention.score.weight.data.normal_()
    kept = tmp_path / "kept"
    kept.mkdir()
    native.save(begun.state_dict(), begun.architecture, TWO, kept)
    again = begin_model(_attention(init=str(kept)), classes=TWO, image_size=(32, 32))
    score = again.slice_attention.score.weight
    assert score.equal(begun.slice_attention.score.weight)
    mean = begin_model(RunConfig(init=str(kept)), classes=TWO, image_size=(32, 32))
    assert mean.slice_attention is None
    assert mean.architecture.slice_attention == 0


def test_attention_from_scratch_begins_with_the_same_other_weights() -> None:
    small = VitConfig(**SMALL)
    made = [
        begin_model(config, classes=TWO, image_size=(32, 32)).state_dict()
        for config in (RunConfig(vit=small), _attention(vit=small))
    ]
    assert all(made[1][name].equal(value) for name, value in made[0].items())
    more = made[1].keys() - made[0].keys()
    assert {name.split(".")[0] for name in more} == {"slice_attention"}


def test_a_low_rank_change_lets_the_scores_of_slices_learn(folder) -> None:
    train = TrainConfig(lora_rank=3, slice_pooling="attention")
    config = RunConfig(init=str(folder), train=train)
    model = begin_model(config, classes=TWO, image_size=(32, 32))
    assert all(p.requires_grad for p in model.slice_attention.parameters())
