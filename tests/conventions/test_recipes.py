"""Every recipe in the package loads, says what it needs, and trains a network."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib import resources

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from vit_dementia import recipes
from vit_dementia.data.cohort import Cohort
from vit_dementia.training import run
from vit_dementia.training.start import begin_model

NAMES = recipes.recipe_names()


def paint_cohort(root, people: int, *, volumes: bool):
    """Write noise for some people, half of them of either class."""
    rng = np.random.default_rng(0)
    for person in range(people):
        folder = root / ("NonDemented", "MildDemented")[person % 2]
        folder.mkdir(parents=True, exist_ok=True)
        if volumes:
            voxels = rng.integers(100, 255, (16, 16, 16)).astype(np.float32)
            image = nib.Nifti1Image(voxels, np.eye(4))
            nib.save(image, folder / f"sub-{person:03}_T1w.nii.gz")
        else:
            pixels = rng.integers(100, 255, (16, 16)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"sub-{person:03}_slice-0.png")
    return root


@pytest.fixture(params=NAMES)
def recipe(request):
    """Return the name of each recipe in turn."""
    return request.param


def test_there_are_recipes() -> None:
    assert "tiny" in NAMES


def _head(recipe: str) -> str:
    text = resources.files(recipes).joinpath(f"{recipe}.toml").read_text("utf-8")
    return text[: text.index("\n[")]


def test_a_recipe_says_how_it_is_run_and_what_comes_of_it(recipe) -> None:
    head = _head(recipe)
    assert "# Command: vit-dementia " in head
    for told in ("# Hardware: ", "# Measured", "# Score to expect: "):
        assert told in head, f"{recipe}: {told}"


@pytest.mark.parametrize(
    "name",
    ["vit-b16", "paper-finetune", "augreg", "deit3", "mae-finetune", "small-data"],
)
def test_a_recipe_from_the_literature_says_where_it_is_from(name) -> None:
    assert re.search(r"# Source: .* et al\. 20\d\d \(arXiv \d{4}\.\d{5}\)", _head(name))


def test_a_recipe_runs_forward_and_back(recipe) -> None:
    config = recipes.config_from(recipes.read_recipe(recipe), where=recipe)
    small = replace(config.vit, depth=1, inflation="mean")  # all blocks are alike
    config = replace(config, vit=small)
    whole = (48, 96, 48) if config.data.input == "volume" else (64, 48)
    size = config.data.image_size or whole
    network = begin_model(config, classes=["none", "some"], image_size=size)
    images = torch.zeros(1, config.data.channels, *size)
    network(images).sum().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None for gradient in gradients)


def test_a_recipe_takes_a_step_of_training(recipe, tmp_path) -> None:
    """The numbers of the network are made tiny; all else is as the recipe says."""
    config = recipes.config_from(recipes.read_recipe(recipe), where=recipe)
    heads, volumes = config.vit.num_heads or 2, config.data.input == "volume"
    small = replace(
        config.vit,
        patch_size=8,
        embed_dim=4 * heads,
        depth=2,
        mlp_dim=16,
        num_heads=heads,
        inflation="mean",
    )
    config = replace(
        config,
        model="ViT-Ti/16",
        device="cpu",
        vit=small,
        data=replace(
            config.data,
            image_size=None if volumes else (16, 16),
            volume_size=(16, 16, 16) if volumes else None,
            val=0.25,
            test=0.25,
        ),
        train=replace(config.train, epochs=1, batch_size=4, accumulate=1),
    )
    cohort = Cohort.from_path(paint_cohort(tmp_path / "data", 8, volumes=volumes))
    folder = run.train(cohort, config, out=tmp_path / "run", cache=tmp_path / "cache")
    record = json.loads((folder.path / "history.jsonl").read_text("utf-8"))
    assert record["train_loss"] < 10
