from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from vit_dementia.benchmark import steps
from vit_dementia.benchmark.steps import random_slices, share_of_data, time_steps
from vit_dementia.config import RunConfig, TrainConfig
from vit_dementia.inference.compute import make_fabric
from vit_dementia.models.create import create_model

CONFIG = RunConfig(device="cpu", train=TrainConfig(batch_size=2, precision="fp32"))


@pytest.fixture
def model():
    return create_model("ViT-Ti/16", num_classes=3, image_size=(32, 16), depth=2)


def _times(model) -> steps.StepTimes:
    return time_steps(
        model,
        random_slices(8, (1, 32, 16)),
        CONFIG,
        fabric=make_fabric("cpu", "fp32"),
        seconds=0.0,
    )


def test_parts_of_a_step_add_up_to_less_than_the_step(model) -> None:
    before = model.head.weight.clone()
    times = _times(model)
    assert len(times.loading) == len(times.augmentation) == len(times.total) >= 3
    assert np.all(times.loading + times.augmentation < times.total)
    assert 0 < times.share_of_data < 1
    assert not torch.equal(model.head.weight, before)  # it was the real loop


def test_a_slow_augmentation_is_found_out(model, monkeypatch) -> None:
    def slow(images, *_rest):
        steps.time.sleep(0.2)
        return images

    monkeypatch.setattr(steps, "augment", slow)
    times = _times(model)
    assert times.share_of_data > 0.5
    assert times.augmentation.min() >= 0.2 > np.median(times.loading)


def test_the_share_is_told_with_its_circumstances(monkeypatch) -> None:
    monkeypatch.setattr(steps, "_NUM_SLICES", 16)
    vit = dataclasses.replace(CONFIG.vit, depth=1)
    config = dataclasses.replace(CONFIG, model="ViT-Ti/16", vit=vit)
    answer = share_of_data(config, 32, seconds=0.0)
    assert answer["where"] == "cpu, float32"
    assert answer["batch_size"] == 2
    parts = answer["loading_ms"] + answer["augmentation_ms"]
    assert 0 < parts < answer["step_ms"]
