from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from vit_dementia.cli.app import run
from vit_dementia.errors import CheckpointError
from vit_dementia.inference.model_folder import write_model_folder
from vit_dementia.models import create_model
from vit_dementia.models.weights import load_model, read_weights
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.workflows import convert as workflow

PREPROCESSING = SlicePreprocessing(size=(32, 48), mean=0.25, std=0.125)


@pytest.fixture
def model_folder(tmp_path):
    generator = torch.Generator().manual_seed(0)
    model = create_model(
        "ViT-Ti/16",
        num_classes=2,
        image_size=(32, 48),
        depth=2,
        initialization="timm",
        generator=generator,
    )
    write_model_folder(
        tmp_path / "run" / "model",
        model,
        classes=("none", "dementia"),
        ordered=True,
        preprocessing=PREPROCESSING,
        facts={},
    )
    return tmp_path / "run" / "model"


def test_a_trained_model_is_written_for_transformers(
    model_folder, tmp_path, capsys
) -> None:
    out = tmp_path / "out"
    words = [str(model_folder.parent), str(out), "--format", "huggingface", "--json"]
    assert run(["convert", *words]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["classes"] == ["none", "dementia"]
    assert answer["from"] == "native"
    assert answer["largest_difference_of_logits"] < 1e-5
    written = read_weights(out)
    assert written.architecture.channels == 3
    assert written.mean == (0.25,) * 3  # the normalization travels with the weights
    card = (out / "README.md").read_text()
    assert "Research use only" in card
    assert "stretches every image to 32 x 48" in card
    assert "filled up with black" in card
    processor = json.loads((out / "preprocessor_config.json").read_text())
    assert processor["image_std"] == [0.125] * 3


def test_a_card_promises_no_padding_to_what_was_stretched(model_folder) -> None:
    weights = read_weights(model_folder)
    stretched = replace(PREPROCESSING, fit="stretch")
    assert "black" not in workflow._card(weights, stretched)
    assert "percentile" not in workflow._card(weights, None)


def test_there_and_back_is_the_same_model(model_folder, tmp_path, capsys) -> None:
    assert (
        run(["convert", str(model_folder), str(tmp_path / "a"), "--format", "timm"])
        == 0
    )
    words = [str(tmp_path / "a"), str(tmp_path / "b"), "--format", "native"]
    assert run(["convert", *words]) == 0
    before, after = (load_model(f).state_dict() for f in (model_folder, tmp_path / "b"))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert "logits differ by 0.0e+00" in capsys.readouterr().err


def test_a_format_that_cannot_express_the_model_is_refused(
    model_folder, tmp_path, capsys
) -> None:
    words = [str(model_folder), str(tmp_path / "x"), "--format", "google"]
    assert run(["convert", *words]) == 2
    assert "activation is 'gelu', google knows only" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_other_logits_are_a_bug_that_is_told(model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(workflow, "parity", lambda *_: float("nan"))
    with pytest.raises(CheckpointError, match="would give other logits"):
        workflow.convert(read_weights(model_folder), tmp_path / "x", "native")
    assert not (tmp_path / "x").exists()


def test_only_our_folders_say_how_slices_are_prepared(model_folder, tmp_path) -> None:
    for source in (model_folder, model_folder.parent):
        assert workflow.preprocessing_beside(str(source)) == PREPROCESSING
    assert workflow.preprocessing_beside(str(tmp_path)) is None
    assert workflow.preprocessing_beside("hf-hub:owner/name") is None
