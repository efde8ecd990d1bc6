from __future__ import annotations

import json

import pytest
import torch

from vit_dementia.errors import CheckpointError
from vit_dementia.inference.model_folder import (
    find_model_folder,
    read_model_folder,
    write_model_folder,
)
from vit_dementia.models import create_model
from vit_dementia.preparation.slices import SlicePreprocessing

PREPROCESSING = SlicePreprocessing(size=(16, 16), mean=0.2, std=0.3)


def _write(folder, **facts: object) -> torch.nn.Module:
    network = create_model(
        num_classes=2, image_size=(16, 16), patch_size=8, embed_dim=8, depth=1,
        num_heads=2,
    )  # fmt: skip
    write_model_folder(
        folder,
        network,
        classes=("CN", "AD"),
        ordered=True,
        preprocessing=PREPROCESSING,
        facts={"seed": 3, "allow_leakage": "", **facts},
    )
    return network


def test_what_was_written_answers_alike(tmp_path) -> None:
    network = _write(tmp_path / "run" / "model")
    saved = read_model_folder(tmp_path / "run")
    images = torch.randn(2, 1, 16, 16)
    assert torch.equal(saved.network(images), network.eval()(images))
    assert (saved.classes, saved.ordered) == (("CN", "AD"), True)
    assert saved.preprocessing == PREPROCESSING
    assert saved.facts == {"seed": 3, "allow_leakage": ""}
    assert len(saved.sha256) == 64


def test_writing_again_replaces_the_whole_folder(tmp_path) -> None:
    _write(tmp_path / "model")
    (tmp_path / "model" / "left.txt").write_text("of the one before")
    _write(tmp_path / "model", seed=4)
    assert read_model_folder(tmp_path / "model").facts["seed"] == 4
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == [
        "README.md", "config.json", "model.safetensors", "preprocessing.json",
    ]  # fmt: skip
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_the_card_says_classes_limits_and_research_use_only(tmp_path) -> None:
    _write(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: vit-dementia\n")
    assert '["CN", "AD"]' in card
    assert "Research use only" in card


def test_a_folder_that_lacks_a_piece_or_is_none_is_refused(tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        find_model_folder(tmp_path)
    _write(tmp_path / "model")
    (tmp_path / "model" / "preprocessing.json").unlink()
    with pytest.raises(CheckpointError, match=r"preprocessing\.json"):
        read_model_folder(tmp_path / "model")


def test_a_cross_validation_is_refused_and_a_fold_is_named(tmp_path) -> None:
    _write(tmp_path / "cv" / "folds" / "0" / "model")
    with pytest.raises(CheckpointError, match="is a cross-validation") as told:
        find_model_folder(tmp_path / "cv")
    assert str(told.value).endswith(str(tmp_path / "cv" / "folds" / "0"))
    assert find_model_folder(tmp_path / "cv" / "folds" / "0").name == "model"


def test_a_folder_of_another_format_is_refused(tmp_path) -> None:
    _write(tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    content = json.loads(config.read_text()) | {"format_version": 99}
    config.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="99"):
        read_model_folder(tmp_path / "model")


@pytest.mark.parametrize("name", ["config.json", "preprocessing.json"])
def test_one_flipped_bit_in_a_file_of_words_and_numbers_is_found(
    tmp_path, name
) -> None:
    _write(tmp_path / "model")
    file = tmp_path / "model" / name
    content = file.read_bytes()
    quiet = 0
    for at in range(0, len(content), 7):
        changed = bytearray(content)
        changed[at] ^= 1
        file.write_bytes(bytes(changed))
        try:
            read_model_folder(tmp_path / "model")
        except CheckpointError:
            continue
        # Only what no reader sees (one white space for another), or the hash's name:
        # folders from before there was one are read.
        told = json.loads(bytes(changed))
        assert told == json.loads(content) or "hash" not in told
        quiet += 1
    assert quiet < len(content) / 7 / 10
    file.write_bytes(content)
    read_model_folder(tmp_path / "model")
