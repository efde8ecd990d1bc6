from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from vit_dementia.benchmark.plan import Plan, plan
from vit_dementia.config import DataConfig, RunConfig, TrainConfig, VitConfig
from vit_dementia.data.cohort import Cohort

CONFIG = RunConfig(
    model="ViT-Ti/16",
    device="cpu",
    vit=VitConfig(depth=1),
    train=TrainConfig(batch_size=2, precision="fp32", epochs=3),
)


@pytest.fixture
def cohort(tmp_path) -> Cohort:
    rng = np.random.default_rng(0)
    for label in ("CN", "AD"):
        for person in range(10):
            for slice_2d in range(3):
                file = tmp_path / label / f"sub-{label}{person:02}_s{slice_2d}.png"
                file.parent.mkdir(exist_ok=True)
                pixels = rng.integers(1, 255, (20, 12)).astype(np.uint8)
                Image.fromarray(pixels).save(file)
    return Cohort.from_path(tmp_path)


def test_a_plan_counts_what_training_would_do(cohort) -> None:
    made = plan(cohort, CONFIG, folds=1, seconds=0.0)
    assert made.num_files == 60
    assert made.num_train % 3 == 0
    assert made.num_val % 3 == 0
    assert 0 < made.num_val < made.num_train < 60  # the rest is held out
    assert min(made.train_rate, made.forward_rate, made.read_rate) > 0
    assert 2 < made.gflops_training / made.gflops_forward < 3
    assert made.to_dict()["hours"] == made.hours > 0


def test_fewer_slices_of_each_participant_make_an_epoch_shorter(cohort) -> None:
    few = dataclasses.replace(CONFIG, data=DataConfig(slices_per_participant=1))
    everything = plan(cohort, CONFIG, folds=1, seconds=0.0)
    assert plan(cohort, few, folds=1, seconds=0.0).num_train == everything.num_train / 3


def test_patches_that_show_nothing_cost_nothing(cohort) -> None:
    for file in cohort.files():
        pixels = np.asarray(Image.open(file)).copy()
        pixels[:16] = 0
        Image.fromarray(pixels).save(file)
    everything = dataclasses.replace(CONFIG, data=DataConfig(tokens="all"))
    half, whole = (
        plan(cohort, config, folds=1, seconds=0.0) for config in (CONFIG, everything)
    )
    assert half.gflops_training < 0.8 * whole.gflops_training


def test_hours_are_images_over_rates() -> None:
    made = Plan(
        where="here",
        num_files=7200,
        num_train=3600,
        num_val=1800,
        epochs=10,
        folds=5,
        num_parameters=1,
        gflops_training=3.0,
        gflops_forward=1.0,
        train_rate=2.0,
        forward_rate=6.0,
        read_rate=4.0,
    )
    reading, epoch = 1800, 1800 + 300
    assert made.hours == pytest.approx((reading + 50 * epoch) / 3600)
    operations = 50 * (3600 * 3e9 + 1800 * 1e9)
    assert made.petaflops == pytest.approx(operations / 1e15)
    assert made.hours_at(2.0, share=0.25) == pytest.approx(operations / 0.5e12 / 3600)
