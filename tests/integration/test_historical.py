"""The commands of the historical project, verbatim, on its users' folders."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from vit_dementia.errors import CheckpointError
from vit_dementia.inference.model_folder import read_model_folder
from vit_dementia.models import create_model
from vit_dementia.models.weights import read_weights

REPO_ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("NonDemented", "VeryMildDemented", "MildDemented", "ModerateDemented")
TINY_NUMBERS = (
    "--patch_size", "56", "--num_transformer_layer", "1", "--embedding_dim", "12",
    "--mlp_size", "24", "--num_heads", "2",
)  # fmt: skip


@pytest.fixture
def folders(tmp_path, monkeypatch) -> Path:
    """Return a folder with data/train and data/test, four people in both of them."""
    rng = np.random.default_rng(0)
    for part, places in (("train", (1, 2, 3, 4)), ("test", (5, 6))):
        for label in CLASSES:
            folder = tmp_path / "data" / part / label
            folder.mkdir(parents=True)
            for place in places:
                pixels = rng.integers(0, 255, (20, 18)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{place}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def _script(name: str, *arguments: str, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(REPO_ROOT / name), run_name="__main__")


def _name_people(folder: Path) -> None:
    """Give each class three participants in train, two of them also in test."""
    for file in sorted(folder.rglob("*.png")):
        person = 10 * CLASSES.index(file.parent.name) + int(file.stem) % 3
        file.rename(file.with_name(f"sub-{person:02}_{file.stem}.png"))


def test_train_leaves_the_four_files_that_old_notebooks_read(
    folders, monkeypatch, capsys
) -> None:
    _script("train.py", "--epochs", "1", *TINY_NUMBERS, monkeypatch=monkeypatch)
    state = torch.load(folders / "models/ViTModel.pth", weights_only=True)
    assert {"class_embedding", "patch_embedding_layer.patcher.weight"} <= set(state)
    assert state["position_embedding"].shape == (1, 17, 12)

    with (folders / "models/ViTModel_losses.pkl").open("rb") as file:
        results = pd.read_pickle(file)
    assert set(results) == {"train_loss", "train_acc", "test_loss", "test_acc"}
    assert all(len(curve) == 1 for curve in results.values())
    assert 0 <= results["test_acc"][0] <= 1

    told = capsys.readouterr().out.splitlines()
    epochs = [n for n, line in enumerate(told) if line.startswith("epoch 1/1")]
    leaks = [n for n, line in enumerate(told) if "may stand on both sides" in line]
    assert len(epochs) == 1
    assert min(leaks) < epochs[0] < max(leaks)


def test_the_weights_are_those_of_the_run_and_know_their_classes(
    folders, monkeypatch
) -> None:
    numbers = ["--embedding_dim", "192", "--num_heads", "3", *TINY_NUMBERS[:4]]
    _script("train.py", "--epochs", "1", *numbers, monkeypatch=monkeypatch)
    (run,) = (folders / "runs").iterdir()
    images = torch.randn(2, 3, 224, 224)
    weights = read_weights(folders / "models/ViTModel.pth")
    assert weights.classes == tuple(sorted(CLASSES))
    assert weights.architecture.layer_norm_eps == 1e-5
    torch.testing.assert_close(
        weights.build().eval()(images), read_model_folder(run).network(images)
    )
    (folders / "models/ViTModel.classes.json").unlink()
    with pytest.raises(CheckpointError, match="classes"):
        read_weights(folders / "models/ViTModel.pth")


def test_people_known_to_leak_are_counted_and_training_goes_on(
    folders, monkeypatch, capsys
) -> None:
    _name_people(folders / "data")
    _script("train.py", "--epochs", "1", *TINY_NUMBERS, monkeypatch=monkeypatch)
    told = capsys.readouterr().out
    assert told.count("historical script): 8 of 8 test participants also stand") == 2


def test_transfer_learning_trains_only_the_head_of_given_weights(
    folders, monkeypatch
) -> None:
    network = create_model(
        "ViT-Ti/16", num_classes=7, image_size=(64, 64), channels=3, depth=1,
        patch_size=32,
    )  # fmt: skip
    save_file(network.state_dict(), folders / "public.safetensors")
    _script(
        "train_transferlearning.py", "--epochs", "1", "--weights", "public.safetensors",
        monkeypatch=monkeypatch,
    )  # fmt: skip
    path = folders / "models/ViTModelTransferLearning.pth"
    state = torch.load(path, weights_only=True)
    assert state["heads.weight"].shape == (4, 192)
    assert torch.equal(
        state["encoder.layers.encoder_layer_0.mlp.0.weight"],
        network.blocks[0].mlp.fc1.weight,
    )
    assert json.loads(
        path.with_name("ViTModelTransferLearning.classes.json").read_text()
    )
    assert (folders / "models/ViTModelTransferLearning_losses.pkl").is_file()
    assert read_weights(path).classes == tuple(sorted(CLASSES))


def test_no_network_and_no_weights_is_one_line_that_names_the_way_out(
    folders, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(
        "vit_dementia.cli.historical.IMAGENET_WEIGHTS",
        "http://127.0.0.1:9/vit_b_16-c867db91.pth",
    )
    with pytest.raises(SystemExit) as left:
        _script("train_transferlearning.py", "--epochs", "1", monkeypatch=monkeypatch)
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--weights" in line


def test_weights_in_the_torch_cache_are_used_without_network(
    folders, monkeypatch
) -> None:
    from vit_dementia.models.weights import torchvision

    network = create_model(
        "ViT-Ti/16", num_classes=5, image_size=(64, 64), channels=3, depth=1,
        patch_size=32,
    )  # fmt: skip
    cached = folders / "torch/hub/checkpoints/vit_b_16-c867db91.pth"
    cached.parent.mkdir(parents=True)
    state = torchvision.to_torchvision(network.state_dict(), network.architecture)
    torch.save(state, cached)
    _script("train_transferlearning.py", "--epochs", "0", monkeypatch=monkeypatch)
    assert (folders / "models/ViTModelTransferLearning.pth").is_file()


def test_wrong_classes_and_missing_folders_are_told_before_anything_is_written(
    folders, monkeypatch, capsys
) -> None:
    for arguments, words in (
        (("--num_classes", "3"), "holds 4 classes"),
        (("--train_dir", "nowhere"), "nowhere"),
        (("--epocs", "3"), "epochs"),
    ):
        with pytest.raises(SystemExit) as left:
            _script("train.py", *arguments, monkeypatch=monkeypatch)
        assert left.value.code == 2
        assert words in capsys.readouterr().err
    assert not (folders / "models").exists()
    assert not (folders / "runs").exists()


def test_the_notebook_recipe_draws_the_curves_of_the_script(
    folders, monkeypatch
) -> None:
    _script("train.py", "--epochs", "2", *TINY_NUMBERS, monkeypatch=monkeypatch)
    recipe = (
        "import pandas as pd\n"
        "with open('models/ViTModel_losses.pkl', 'rb') as f:\n"
        "    results = pd.read_pickle(f)\n"
        "from functions import helper_functions\n"
        "helper_functions.plot_loss_curves(results)\n"
        "import matplotlib.pyplot as plt\n"
        "plt.savefig('curves.png')\n"
    )
    subprocess.run(
        [sys.executable, "-c", recipe],
        check=True,
        env=os.environ | {"PYTHONPATH": str(REPO_ROOT), "MPLBACKEND": "agg"},
    )
    with Image.open("curves.png") as picture:
        assert len(set(picture.convert("L").tobytes())) > 10


def test_the_flags_and_defaults_are_the_historical_ones(monkeypatch, capsys) -> None:
    expected = {
        "train.py": {
            "epochs": 90, "batch-size": 32, "lr": 0.001, "train-dir": "data/train",
            "test-dir": "data/test", "patch-size": 16, "num-transformer-layer": 12,
            "embedding-dim": 768, "mlp-size": 3072, "num-heads": 12, "num-classes": 4,
        },
        "train_transferlearning.py": {
            "epochs": 10, "batch-size": 32, "lr": 0.001, "train-dir": "data/train",
            "test-dir": "data/test",
        },
    }  # fmt: skip
    for script, flags in expected.items():
        _script(script, "--help", monkeypatch=monkeypatch)
        told = " ".join(capsys.readouterr().out.replace("│", " ").split())
        for flag, value in flags.items():
            assert f"--{flag}" in told
            assert f"[default: {value}]" in told
