"""Models of whole volumes: trained, scored and asked from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from vit_dementia.cli.app import run
from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.inference.model_folder import find_model_folder, read_model_folder
from vit_dementia.models.weights import read_unnamed
from vit_dementia.preparation.volumes import VolumePreprocessing

CLASSES = ("CN", "AD")
TINY = (
    "--input=volume",
    "--model=ViT-Ti/16",
    "--vit.patch-size=8",
    "--vit.embed-dim=24",
    "--vit.depth=2",
    "--vit.num-heads=2",
    "--vit.mlp-dim=48",
    "--vit.pooling=mean",
    "--learning-rate=3e-3",
    "--batch-size=8",
    "--device=cpu",
)


def heads(root: Path, *, people: int, sessions: int = 1, first: int = 0) -> Path:
    """Write balls in the dark, hollow for the second class; return their table."""
    rng = np.random.default_rng(0)
    away = np.sqrt(sum((axis - 14.5) ** 2 for axis in np.indices((30, 30, 30))))
    rows = []
    root.mkdir()
    for person in range(first, first + people):
        label, size = person % 2, rng.uniform(9, 11)
        for session in range(1, sessions + 1):
            voxels = np.where(away < size, 180.0, 0.0)
            voxels[away < 5 * label] = 40.0
            voxels += np.abs(rng.normal(0, 4, voxels.shape))
            name = f"sub-{person:03}_ses-{session}_T1w.nii.gz"
            affine = np.diag([4.5, 4.5, 4.5, 1.0])
            write_volume(root / name, Volume(voxels.astype(np.float32), affine))
            rows.append((name, CLASSES[label], f"sub-{person:03}", str(session)))
    columns = ["path", "label", "participant_id", "session_id"]
    table = root / "scans.tsv"
    pd.DataFrame(rows, columns=columns).to_csv(table, sep="\t", index=False)
    return table


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a finished run on 24 people and the table of their volumes."""
    folder = tmp_path_factory.mktemp("volumes")
    table, out = heads(folder / "data", people=24), folder / "run"
    words = [
        "train",
        str(table),
        *TINY,
        "--epochs=24",
        "--no-augment",
        "--out",
        str(out),
    ]
    assert run([*words, "--cache", str(folder / "cache")]) == 0
    return out, table


@pytest.mark.slow
def test_a_volume_model_learns_to_tell_people_apart(trained, command) -> None:
    out, _ = trained
    command("evaluate", out)
    scored = out / "evaluation/test"
    people = json.loads((scored / "metrics.json").read_text())["by_participant"]
    assert people["scores"]["auroc"]["value"] == 1.0
    for floor in ("linear-model-on-pixels", "nearest-neighbor", "majority-class"):
        assert (scored / f"floors/{floor}.tsv").is_file()


@pytest.mark.slow
def test_the_model_folder_says_what_it_reads(trained) -> None:
    out, _ = trained
    model = read_model_folder(out)
    assert model.network.architecture.image_size == (32, 32, 32)
    assert model.network.architecture.visible is not None  # the corners are dark
    assert isinstance(model.preprocessing, VolumePreprocessing)
    assert model.preprocessing.spacing_mm == 4.5


@pytest.mark.slow
@pytest.mark.usefixtures("in_float32")
def test_prediction_is_what_the_network_says_of_the_prepared_file(
    trained, command
) -> None:
    out, table = trained
    file = table.parent / "sub-003_ses-1_T1w.nii.gz"
    told = json.loads(command("predict", out, file, "--json").stdout)
    assert " volumes), chosen on" in told["model"]["trained_on"]
    model = read_model_folder(out)
    prepared = torch.from_numpy(model.preprocessing.read(file))[None]
    with torch.inference_mode():
        logits = model.network(model.preprocessing.normalize(prepared)).double()
    expected = model.calibration.scaling(logits.softmax(dim=1).numpy())[0]
    (result,) = told["results"]
    found = [result["probabilities"][name] for name in model.classes]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert result["participant_id"] == "sub-003"


@pytest.mark.slow
def test_sessions_of_one_person_are_answered_together(trained, command, tmp_path):
    out, _ = trained
    table = heads(tmp_path / "visits", people=2, sessions=2)
    files = sorted(table.parent.glob("*.nii.gz"))
    told = json.loads(command("predict", out, *files, "--json").stdout)
    assert len(told["results"]) == 4
    assert [one["num_scans"] for one in told["participants"]] == [2, 2]


@pytest.mark.slow
def test_a_picture_is_refused_by_a_volume_model_and_a_volume_by_a_slice_model(
    trained, command, cohort_folder, tmp_path
) -> None:
    out, table = trained
    picture = next(cohort_folder.rglob("*.png"))
    assert "refused" in command("predict", out, picture, check=2).stderr
    command(
        "train", cohort_folder, *TINY[1:], "--epochs=1", "--out", tmp_path / "slices"
    )
    volume = next(table.parent.glob("*.nii.gz"))
    told = command("predict", tmp_path / "slices", volume, check=2).stderr
    assert "refused" in told


def test_slices_cannot_be_trained_on_as_volumes(cohort_folder, command) -> None:
    said = command("train", cohort_folder, *TINY, check=2).stderr
    assert "NIfTI" in said


@pytest.mark.slow
def test_volumes_begin_from_slices_of_the_same_people(trained, command) -> None:
    out, table = trained
    slices = out.with_name("slices")
    command(
        "train", table, *TINY[1:], "--data.slab-mm", "20", "60", "--data.slices=3",
        "--data.spacing-mm=4.5", "--epochs=2", "--out", slices,
    )  # fmt: skip
    kernels = []
    for how in ("mean", "center"):
        whole = out.with_name(f"from-slices-{how}")
        command(
            "train", table, "--recipe=volumes-from-slices", "--init", slices,
            f"--vit.inflation={how}", "--epochs=0", "--out", whole,
        )  # fmt: skip
        state = read_unnamed(find_model_folder(whole)).state
        kernels.append(state["patch_embed.proj.weight"])
    of_slices = read_unnamed(find_model_folder(slices)).state["patch_embed.proj.weight"]
    for kernel in kernels:  # coronal: spread from the front to the back
        torch.testing.assert_close(kernel.sum(dim=3).flip(2), of_slices)
    mean, center = kernels
    torch.testing.assert_close(mean[:, :, :, 0], mean[:, :, :, 7])
    assert not center[:, :, :, 0].any()
    command("train", table, "--recipe=volumes-from-slices", "--init", out, check=2)


@pytest.mark.slow
def test_folds_of_volumes_pool_into_one_report(command, tmp_path) -> None:
    table = heads(tmp_path / "data", people=12)
    command(
        "cross-validate", table, *TINY, "--folds=2", "--epochs=1", "--out",
        tmp_path / "folds",
    )  # fmt: skip
    told = pd.read_csv(
        tmp_path / "folds/evaluation/out-of-fold/predictions_participants.tsv",
        sep="\t",
    )
    assert len(told) == 12


def test_weights_for_slices_begin_a_model_of_volumes(command, tmp_path, cohort_folder):
    command("train", cohort_folder, *TINY[1:], "--epochs=1", "--out", tmp_path / "flat")
    table = heads(tmp_path / "heads", people=8, first=100)
    begun = tmp_path / "begun"
    command(
        "train", table, "--input=volume", "--init", tmp_path / "flat",
        "--data.tokens=all", "--epochs=0", "--out", begun,
    )  # fmt: skip
    flat = read_model_folder(tmp_path / "flat").network
    deep = read_model_folder(begun).network
    assert deep.architecture.patch_size == (8, 8, 8)
    kernel = deep.patch_embed.proj.weight.sum(dim=2)
    torch.testing.assert_close(kernel, flat.patch_embed.proj.weight)
    assert torch.equal(deep.blocks[1].mlp.fc1.weight, flat.blocks[1].mlp.fc1.weight)


@pytest.mark.parametrize(
    ("change", "size"),
    [("--data.spacing-mm=9", (16, 16, 16)), ("--data.volume-size=24 24 24", (24,) * 3)],
)
def test_the_grid_of_a_model_can_be_chosen(command, tmp_path, change, size) -> None:
    table = heads(tmp_path / "data", people=8)
    flag, _, value = change.partition("=")
    command(
        "train", table, *TINY, flag, *value.split(), "--epochs=1", "--out",
        tmp_path / "run",
    )  # fmt: skip
    model = read_model_folder(tmp_path / "run")
    assert model.network.architecture.image_size == size
    assert model.preprocessing.size == size


def test_an_encoder_pretrained_on_volumes_without_labels_begins_a_model(
    tmp_path, monkeypatch
) -> None:
    """On people outside the cohort, by the decoder of the defaults."""
    heads(tmp_path / "others", people=8, first=100)
    (tmp_path / "others" / "scans.tsv").unlink()
    monkeypatch.chdir(tmp_path)
    sizes = [flag for flag in TINY if not flag.startswith("--learning-rate")]
    words = ["pretrain", "others", *sizes, "--data.test=0", "--epochs=1", "--out=mae"]
    assert run([*words, "--cache=cache"]) == 0
    assert Path("mae/reconstructions.png").read_bytes().startswith(b"\x89PNG")
    table = heads(tmp_path / "cohort", people=12)
    words = ["train", str(table), "--input=volume", "--init=mae", "--epochs=0"]
    assert run([*words, "--vit.pooling=mean", "--out=start", "--cache=cache"]) == 0
    first, second = (
        read_unnamed(find_model_folder(Path(name))).state for name in ("mae", "start")
    )
    blocks = [name for name in first if name.startswith("blocks.")]
    assert all(torch.equal(first[name], second[name]) for name in blocks)
    assert blocks
