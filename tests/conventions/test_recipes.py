"""Every recipe in the package loads, says what it needs, and trains a network."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources

import pytest
import torch

from vit_dementia import recipes
from vit_dementia.training.start import begin_model

NAMES = recipes.recipe_names()


@pytest.fixture(params=NAMES)
def recipe(request):
    """Return the name of each recipe in turn."""
    return request.param


def test_there_are_recipes() -> None:
    assert "tiny" in NAMES


def test_a_recipe_says_command_and_hardware(recipe) -> None:
    text = resources.files(recipes).joinpath(f"{recipe}.toml").read_text("utf-8")
    head = text[: text.index("\n[")]
    assert "# Command: vit-dementia " in head
    assert "# Hardware: " in head


def test_a_recipe_runs_forward_and_back(recipe) -> None:
    config = recipes.config_from(recipes.read_recipe(recipe), where=recipe)
    config = replace(config, vit=replace(config.vit, depth=1))  # all blocks are alike
    size = config.data.image_size or (64, 48)
    network = begin_model(config, classes=["none", "some"], image_size=size)
    images = torch.zeros(1, config.data.channels, *size)
    network(images).sum().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None for gradient in gradients)
