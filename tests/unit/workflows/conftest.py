"""A run folder as a training leaves it, without the training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from vit_dementia.config import RunConfig, TrainConfig, VitConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import holdout
from vit_dementia.evaluation.calibrated import Calibration
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.files import write_json
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.models import create_model
from vit_dementia.models.variants import architecture
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.training.history import EpochRecord, write_history
from vit_dementia.training.run_folder import RunFolder

CLASSES = ("NonDemented", "VeryMildDemented", "MildDemented")
PEOPLE = 30


@pytest.fixture(scope="session")
def slices_of_people(tmp_path_factory):
    """Return a folder with two gray squares of each of 30 people, and its table."""
    root = tmp_path_factory.mktemp("secret-place")
    rows = ["path\tparticipant_id\tlabel\tage\tsex\tsite"]
    for person in range(PEOPLE):
        for place in range(2):
            path = f"images/who-{person:02}_{place}.png"
            (root / path).parent.mkdir(exist_ok=True)
            Image.new("L", (24, 32), 40 + 3 * person + place).save(root / path)
            age, sex = 60 + person % 10, "FM"[person % 2]
            rows.append(
                f"{path}\tid-{person:02}\t{CLASSES[person % 3]}\t{age}\t{sex}\tsite-A"
            )
    (root / "table.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def cohort(slices_of_people):
    return Cohort.from_path(slices_of_people / "table.tsv")


@pytest.fixture(scope="session")
def untrained():
    """Return a model of slices as those of ``slices_of_people``, as it was born."""
    torch.manual_seed(0)
    network = create_model(
        num_classes=3,
        image_size=(32, 24),
        patch_size=8,
        embed_dim=12,
        depth=2,
        num_heads=2,
    )
    torch.nn.init.normal_(network.head.weight)
    return SavedModel(
        network=network.eval(),
        classes=CLASSES,
        ordered=True,
        preprocessing=SlicePreprocessing(size=(32, 24), mean=0.5, std=0.25),
        facts={},
        calibration=Calibration.none(CLASSES, "not fitted"),
        sha256="0" * 64,
    )


@pytest.fixture
def run(tmp_path, cohort, make_run):
    return make_run(tmp_path / "run", cohort)


@pytest.fixture(scope="session")
def make_run():
    """Return what writes a run as a training of three epochs leaves it."""

    def make(path, cohort, *, split=None, leakage="nothing leaks", **settings):
        config = RunConfig(train=TrainConfig(epochs=3, learning_rate=1e-3), **settings)
        split = split or holdout(cohort, val=0.2, test=0.4, seed=0)
        run = RunFolder.create(path, config, cohort, split)
        _write_training(path, leakage=leakage)
        return run

    return make


@pytest.fixture(scope="session")
def write_training():
    return _write_training


def _write_training(path, *, leakage="nothing leaks"):
    """Write history and model description of one training."""
    record = EpochRecord(
        epoch=1,
        learning_rate=1e-3,
        train_loss=1.0,
        train_accuracy=0.5,
        val_loss=1.1,
        val_accuracy=0.5,
        val_balanced_accuracy=0.4,
        images_per_second=20.0,
        seconds=60.0,
    )
    write_history(path, [replace(record, epoch=epoch) for epoch in (1, 2, 3)])
    described = architecture(
        "ViT-Ti/16", VitConfig(), image_size=(32, 32), channels=1, num_classes=3
    )
    write_json(
        path / "model" / "config.json",
        {
            "architecture": described.to_dict(),
            "sha256": "0" * 64,
            "training": {
                "ordered": True, "epoch": 2, "leakage": leakage, "allow_leakage": ""
            },
        },
    )  # fmt: skip


@pytest.fixture(scope="session")
def told_of():
    return _told_of


def _told_of(cohort, *, skill=1.0, seed=0):
    """Return predictions for every scan of a cohort."""
    rng = np.random.default_rng(seed)
    table, k = cohort.table, len(cohort.classes)
    odds = np.exp(rng.normal(size=(len(table), k)) + skill * np.eye(k)[cohort.labels()])
    return Predictions.from_arrays(
        cohort.classes,
        participant_ids=table.participant_id.tolist(),
        session_ids=table.session_id.tolist(),
        paths=table.path.tolist(),
        labels=table.label.tolist(),
        probabilities=odds / odds.sum(axis=1, keepdims=True),
    )
