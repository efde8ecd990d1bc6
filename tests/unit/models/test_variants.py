from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from vit_dementia.config import VitConfig
from vit_dementia.errors import CheckpointError, ConfigError
from vit_dementia.models import create_model
from vit_dementia.models.variants import VARIANTS, Architecture, architecture
from vit_dementia.models.vit import VisionTransformer


def count(variant: str, **settings) -> int:
    given = {"image_size": (224, 224), "channels": 3, "num_classes": 1000} | settings
    vit = given.pop("vit", None)
    with torch.device("meta"):
        model = VisionTransformer(architecture(variant, vit, **given))
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [
        ("ViT-Ti/16", 5_717_416),
        ("ViT-S/8", 22_055_272),
        ("ViT-S/16", 22_050_664),
        ("ViT-S/32", 22_878_952),
        ("ViT-B/8", 86_576_872),
        ("ViT-B/16", 86_567_656),
        ("ViT-B/32", 88_224_232),
        ("ViT-L/14", 304_203_752),
        ("ViT-L/16", 304_326_632),
        ("ViT-L/32", 306_535_400),
        ("ViT-H/14", 632_045_800),
        ("R+ViT-Ti/16", 6_337_704),
        ("R26+ViT-S/32", 36_431_912),
        ("R26+ViT-B/32", 101_383_976),
        ("R50+ViT-B/16", 98_659_112),
        ("R50+ViT-L/32", 328_994_856),
    ],
)
def test_variants_have_the_published_number_of_parameters(variant, parameters):
    assert count(variant) == parameters


def test_counts_follow_size_classes_channels_and_pooling() -> None:
    assert count("ViT-B/16", num_classes=4) == 85_801_732
    assert count("ViT-B/16", image_size=(384, 384)) == 86_859_496
    assert count("ViT-Ti/16", num_classes=2, channels=1) == 5_426_498
    assert count("ViT-B/16", vit=VitConfig(pooling="mean")) == 86_566_120


def test_every_number_of_table_1_can_be_set() -> None:
    model = create_model(
        "ViT-B/16",
        num_classes=4,
        image_size=(16, 24),
        patch_size=8,
        depth=2,
        embed_dim=24,
        num_heads=3,
        mlp_dim=40,
        layer_norm_eps=1e-5,
    )
    assert len(model.blocks) == 2
    assert model.blocks[0].mlp.fc1.weight.shape == (40, 24)
    assert model.norm.eps == 1e-5
    assert model.architecture.grid == (2, 3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_survives_json(variant) -> None:
    made = architecture(variant, image_size=(224, 448), num_classes=2)
    made = replace(made, dropout=0.1)
    assert Architecture.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_an_unknown_variant_is_refused_with_the_nearest_named() -> None:
    with pytest.raises(ConfigError, match="nearest is 'ViT-B/16'"):
        create_model("vit_b_16", num_classes=2)


def test_an_unknown_key_is_refused_with_the_nearest_named() -> None:
    with pytest.raises(ConfigError, match=r"'head_count'.*nearest is"):
        create_model("ViT-B/16", num_classes=2, head_count=2)


def test_contradicting_numbers_are_all_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        architecture(
            "ViT-B/16",
            VitConfig(num_heads=5),
            image_size=(100, 224),
            num_classes=2,
        )
    assert len(caught.value.faults) == 2
    with pytest.raises(ConfigError, match="depth: found 0"):
        architecture("ViT-B/16", VitConfig(depth=0), image_size=(32, 32), num_classes=2)


def test_a_description_from_another_version_is_refused() -> None:
    made = architecture("ViT-B/16", image_size=(32, 32), num_classes=2).to_dict()
    with pytest.raises(CheckpointError, match="unknown keys wings"):
        Architecture.from_dict(made | {"wings": 2})
    del made["depth"]
    with pytest.raises(CheckpointError, match="depth"):
        Architecture.from_dict(made)


def test_options_outside_the_paper_are_settings_and_off_by_default() -> None:
    plain = architecture("ViT-S/16", image_size=(32, 32), num_classes=2)
    assert plain == Architecture(
        image_size=(32, 32),
        patch_size=(16, 16),
        channels=1,
        num_classes=2,
        embed_dim=384,
        depth=12,
        num_heads=6,
        mlp_dim=1536,
    )
    model = create_model(
        "ViT-Ti/16",
        num_classes=2,
        image_size=(32, 32),
        depth=1,
        positions="sincos",
        stem="shifted",
        locality=True,
        registers=2,
        layer_scale=0.1,
        qk_norm=True,
        initialization="timm",
    )
    made = model.architecture
    assert (made.positions, made.stem, made.num_registers) == ("sincos", "shifted", 2)
    assert made.locality
    assert made.qk_norm
    assert made.layer_scale == 0.1
    assert model.head.weight.any()  # the scheme of timm has no zero head
    pooled = create_model("ViT-Ti/16", num_classes=2, depth=1, pooling="map")
    assert pooled.attn_pool is not None
    assert pooled.cls_token is None
