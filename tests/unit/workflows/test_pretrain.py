"""What the pre-training of a fold takes from its recipe, and what from the fold."""

from __future__ import annotations

import pytest

from vit_dementia import recipes
from vit_dementia.config import AugmentConfig, DataConfig, RunConfig, VitConfig
from vit_dementia.errors import ConfigError
from vit_dementia.workflows.pretrain import pretraining_of, read_pretraining


def test_the_recipe_of_the_package_can_pretrain_a_fold() -> None:
    assert read_pretraining("mae") == recipes.read_recipe("mae")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('model = "ViT-B/16"', "model"),
        ("[data]\nimage_size = [32, 32]", "data.image_size"),
        ("[vit]\ndepth = 3\npooling = 'mean'", "vit.depth, vit.pooling"),
    ],
)
def test_what_is_the_folds_own_is_refused_by_name(tmp_path, text, named) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"sets {named};"):
        read_pretraining(str(file))


def test_tables_come_from_the_recipe_and_the_rest_from_the_fold() -> None:
    fold = RunConfig(
        init="weights.npz",
        fold=3,
        seed=7,
        vit=VitConfig(depth=4, drop_path=0.2),
        data=DataConfig(image_size=(32, 24), slices_per_participant=2),
        augment=AugmentConfig(flip=0.5),
    )
    settings = {"data": {"slices_per_participant": 9}, "augment": {"gamma": 0.0}}
    told = pretraining_of(fold, settings)
    assert (told.init, told.fold, told.seed) == ("weights.npz", 3, 7)
    assert told.data == DataConfig(image_size=(32, 24), slices_per_participant=9)
    assert told.augment == AugmentConfig(gamma=0.0)
    assert told.vit == VitConfig(depth=4)
    assert told.train == RunConfig().train
