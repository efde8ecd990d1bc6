from __future__ import annotations

import json

import pytest
import torch

from vit_dementia.errors import CheckpointError
from vit_dementia.models.weights import load_model, native, read_weights

CLASSES = ("CN", "MCI", "AD", "d", "e")


@pytest.fixture
def folder(small, tmp_path):
    model = small()
    native.save(
        model.state_dict(),
        model.architecture,
        CLASSES,
        tmp_path / "model",
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        rule="dino",
        training={"seed": 3},
    )
    return tmp_path / "model"


def test_a_folder_reopens_bit_for_bit(folder, small, images) -> None:
    model = small()
    weights = read_weights(folder)
    assert weights.classes == CLASSES
    assert (weights.mean, weights.std) == ((0.5,) * 3, (0.25,) * 3)
    assert (weights.layout, weights.rule) == ("native", "dino")
    assert weights.architecture == model.architecture
    assert json.loads((folder / "config.json").read_text())["training"] == {"seed": 3}
    for source in (folder, folder.parent, folder / "model.safetensors"):
        again = load_model(source).eval()
        assert torch.equal(again(images), model(images))


def test_the_same_network_gives_the_same_bytes(folder, small, tmp_path) -> None:
    model = small()
    native.save(model.state_dict(), model.architecture, CLASSES, tmp_path / "b")
    ours, other = folder / "model.safetensors", tmp_path / "b" / "model.safetensors"
    assert ours.read_bytes() == other.read_bytes()


def test_a_changed_weight_file_is_refused(folder) -> None:
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="changed or damaged"):
        read_weights(folder)


def test_other_versions_and_missing_pieces_are_refused(folder) -> None:
    config = folder / "config.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps(content | {"classes": ["a", "b"]}))
    with pytest.raises(CheckpointError, match="does not fit the hash in it"):
        read_weights(folder)
    del content["hash"]  # as in folders from before there was one
    for change, message in (
        ({"format_version": 2}, "version 2"),
        ({"classes": ["a"]}, "name for each output"),
        ({"position_rule": "nearest"}, "unknown position_rule"),
        ({"architecture": content["architecture"] | {"depth": 4}}, "missing blocks.3"),
        ({"architecture": content["architecture"] | {"depth": 2}}, "unexpected blocks"),
    ):
        config.write_text(json.dumps(content | change))
        with pytest.raises(CheckpointError, match=message):
            read_weights(folder)
    del content["sha256"]
    config.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="lacks sha256"):
        read_weights(folder)
    config.write_text("[")
    with pytest.raises(CheckpointError, match="cannot be read as JSON"):
        read_weights(folder)


def test_a_network_and_names_that_do_not_belong_together_are_not_saved(
    small, tmp_path
) -> None:
    model = small()
    with pytest.raises(CheckpointError, match="5 outputs and 2 classes"):
        native.save(model.state_dict(), model.architecture, ("a", "b"), tmp_path / "m")
    state = model.state_dict()
    del state["norm.bias"]
    with pytest.raises(CheckpointError, match=r"missing norm\.bias"):
        native.save(state, model.architecture, CLASSES, tmp_path / "m")
    assert not (tmp_path / "m").exists()
