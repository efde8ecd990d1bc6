from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import vit_dementia as vd
from vit_dementia.errors import ConfigError

TINY = {"patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2, "mlp_dim": 24}


@pytest.fixture
def cohort(tmp_path) -> vd.Cohort:
    rng = np.random.default_rng(0)
    for person in range(12):
        folder = tmp_path / "data" / ("CN", "AD")[person % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(1, 255, (16, 16)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"sub-{person:02}.png")
    return vd.Cohort.from_path(tmp_path / "data")


def test_python_trains_and_predicts_in_the_words_of_the_design(
    cohort, tmp_path
) -> None:
    run = vd.train(
        cohort, epochs=1, vit=TINY, learning_rate=1e-3, device="cpu",
        out=tmp_path / "run", cache=tmp_path / "cache",
    )  # fmt: skip
    assert run.config.train.epochs == 1
    assert run.config.train.learning_rate == 1e-3
    assert run.config.vit.depth == 1
    answer = vd.Predictor.load(run.path / "model")(cohort.files()[:2])
    assert answer.predictions.probabilities.shape == (2, 2)


def test_a_recipe_lies_below_the_settings_named(cohort, tmp_path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text("seed = 7\n[train]\nepochs = 0\nbatch_size = 3\n[vit]\ndepth = 2")
    run = vd.train(
        cohort, recipe=str(recipe), vit=TINY, batch_size=5, out=tmp_path / "run",
        cache=tmp_path / "cache",
    )  # fmt: skip
    config = run.config
    assert (config.seed, config.train.epochs, config.train.batch_size) == (7, 0, 5)
    assert config.vit.depth == 1


def test_an_unknown_setting_names_the_nearest(cohort, tmp_path) -> None:
    with pytest.raises(ConfigError, match="did you mean"):
        vd.train(cohort, epoch=1, out=tmp_path / "run")


def test_the_package_lists_its_names_and_knows_no_others() -> None:
    assert set(vd.__all__) <= set(dir(vd))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vd.nothing
