"""A cross-validation as one model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from vit_dementia.config import VitConfig
from vit_dementia.errors import CheckpointError
from vit_dementia.evaluation.crossed import Crossed, LeftOut
from vit_dementia.inference.folds import CROSSED, SavedFolds, read_models, write_crossed
from vit_dementia.inference.model_folder import read_model_folder, write_model_folder
from vit_dementia.inference.predictor import Predictor
from vit_dementia.models.variants import architecture
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.preparation.slices import SlicePreprocessing

CLASSES = ("none", "some")


def write_fold(path, seed, *, size=(32, 32), classes=CLASSES):
    torch.manual_seed(seed)
    config = VitConfig(embed_dim=24, depth=1, num_heads=2, mlp_dim=48, patch_size=8)
    network = VisionTransformer(
        architecture("ViT-Ti/16", config, image_size=size, channels=1, num_classes=2)
    )
    torch.nn.init.normal_(network.head.weight)
    write_model_folder(
        path / "model",
        network,
        classes=classes,
        ordered=True,
        preprocessing=SlicePreprocessing(size=size, mean=0.1 * seed),
        facts={"seed": seed},
    )
    return read_model_folder(path)


@pytest.fixture
def folder(tmp_path):
    """Return a cross-validation of two folds, without the training."""
    models = [write_fold(tmp_path / "cv" / "folds" / str(n), n) for n in (0, 1)]
    folds = [
        LeftOut(n, model.sha256, 0.5, (0.1, 0.2, 0.3) * 4)
        for n, model in enumerate(models)
    ]
    crossed = Crossed.of(CLASSES, folds, positive=CLASSES[1:], level=0.9)
    write_crossed(tmp_path / "cv", crossed)
    return tmp_path / "cv"


def test_all_models_are_read_and_named_by_one_hash(folder):
    both = read_models(folder)
    assert isinstance(both, SavedFolds)
    assert [model.facts["seed"] for model in both.members] == [0, 1]
    assert both.classes == CLASSES
    assert both.sha256 not in {model.sha256 for model in both.members}
    assert both.answers(np.array([[[0.95, 0.05]], [[0.97, 0.03]]])) == ["no"]


def test_a_single_model_is_still_one(folder):
    alone = read_models(folder / "folds" / "1")
    assert alone.members == (alone,)
    assert alone.answers(np.array([[[0.5, 0.5]]])) == [None]


def test_a_cross_validation_that_is_not_finished_says_how_to_go_on(folder):
    (folder / CROSSED).unlink()
    with pytest.raises(CheckpointError, match="--resume"):
        read_models(folder)


def test_other_weights_in_a_fold_are_refused(folder):
    write_fold(folder / "folds" / "1", 7)
    with pytest.raises(CheckpointError, match="holds other weights"):
        read_models(folder)


def test_other_classes_are_refused(folder):
    model = write_fold(folder / "folds" / "1", 1, classes=("a", "b"))
    told = json.loads((folder / CROSSED).read_text())
    told["folds"][1]["model"] = model.sha256
    write_crossed(folder, Crossed.from_dict(told, where=CROSSED))
    with pytest.raises(CheckpointError, match="other classes"):
        read_models(folder)


def test_no_fold_at_all_is_refused(folder):
    told = json.loads((folder / CROSSED).read_text())
    nobody = Crossed.from_dict(told | {"folds": []}, where=CROSSED)
    write_crossed(folder, nobody)
    with pytest.raises(CheckpointError, match="names no fold"):
        read_models(folder)


def test_every_model_reads_a_scan_in_its_own_preparation(folder, tmp_path):
    model = write_fold(folder / "folds" / "1", 1, size=(40, 32))
    told = json.loads((folder / CROSSED).read_text())
    told["folds"][1]["model"] = model.sha256
    write_crossed(folder, Crossed.from_dict(told, where=CROSSED))
    gray = np.random.default_rng(0).integers(1, 255, (36, 30)).astype(np.uint8)
    paths = [tmp_path / f"sub-{n}.png" for n in (1, 2)]
    for path in paths:
        Image.fromarray(gray).save(path)
        gray = gray[::-1].copy()
    together = Predictor.load(folder, device="cpu")(paths)
    alone = [
        Predictor.load(folder / "folds" / str(n), device="cpu")(paths) for n in (0, 1)
    ]
    expected = [one.predictions.probabilities for one in alone]
    np.testing.assert_allclose(
        together.predictions.probabilities, np.mean(expected, axis=0), rtol=1e-6
    )
    for said, one in zip(together.told, expected, strict=True):
        np.testing.assert_allclose(said.probabilities, one, rtol=1e-6)
    document = together.to_dict()["model"]
    assert document["members"] == [one.model.sha256 for one in alone]


def test_a_changed_number_is_found(folder):
    changed = (folder / CROSSED).read_text().replace("0.9", "0.8")
    (folder / CROSSED).write_text(changed)
    with pytest.raises(CheckpointError, match="changed or damaged"):
        read_models(folder)
