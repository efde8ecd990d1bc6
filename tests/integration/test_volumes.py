"""Volumes from BIDS, NIfTI and DICOM, cut into slices, from the command line."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.inference.model_folder import read_model_folder
from vit_dementia.training.run_folder import RunFolder

from .conftest import TINY

SLICED = ("--data.spacing-mm=4", "--data.slices=3", "--epochs=1", "--cache=cache")


def paint_head(rng, label: int) -> np.ndarray:
    """Return an egg at 4 mm with a hole in its middle, larger in the second class."""
    x, y, z = np.mgrid[:48, :52, :48] - np.array([24, 26, 26])[:, None, None, None]
    voxels = np.where((x / 18) ** 2 + (y / 23) ** 2 + (z / 18) ** 2 < 1, 180.0, 0.0)
    voxels[x**2 + y**2 + z**2 < (2 + 5 * label) ** 2] = 40
    noise = rng.normal(0, 8, voxels.shape) * (voxels > 0)
    return np.clip(voxels + noise, 0, None).round().astype(np.float32)


@pytest.fixture(scope="module")
def bids(tmp_path_factory):
    """Return a BIDS data set of sixteen people, two of them without a diagnosis."""
    root, rng = tmp_path_factory.mktemp("bids") / "data", np.random.default_rng(0)
    rows = ["participant_id\tage\tsex\tdiagnosis"]
    for number in range(16):
        who, label = f"sub-{number:02}", number % 2
        diagnosis = "n/a" if number > 13 else ("CN", "AD")[label]
        rows.append(f"{who}\t{60 + number}\tF\t{diagnosis}")
        for session in ("M00", "M12") if number < 2 else ("M00",):
            name = f"{who}_ses-{session}_T1w.nii.gz"
            volume = Volume(paint_head(rng, label), np.diag([4.0, 4, 4, 1]))
            write_volume(root / who / f"ses-{session}" / "anat" / name, volume)
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def trained(bids, tmp_path_factory):
    from vit_dementia.cli.app import run

    out = tmp_path_factory.mktemp("run") / "run"
    cache = ("--cache", str(out.with_name("cache")))
    words = [*TINY, *SLICED[:2], "--epochs=8", "--learning-rate=3e-3", *cache]
    assert run(["train", str(bids), *words, "--out", str(out)]) == 0
    assert run(["evaluate", str(out), *cache]) == 0
    return out


def test_a_volume_is_answered_once_however_many_slices_it_has(trained, bids) -> None:
    cohort = RunFolder.open(trained).cohort()
    assert len(cohort) == 16  # 14 people with a diagnosis, two of them twice
    told = pd.read_csv(trained / "evaluation/test/predictions.tsv", sep="\t")
    people = pd.read_csv(
        trained / "evaluation/test/predictions_participants.tsv", sep="\t"
    )
    assert told.path.is_unique
    assert set(told.participant_id) == set(people.participant_id)
    assert set(told.session_id) <= {"M000", "M012"}
    assert (told.path.str.endswith("_T1w.nii.gz")).all()


def test_the_model_remembers_how_slices_were_cut(trained) -> None:
    told = json.loads((trained / "model/preprocessing.json").read_text())
    assert told["input"] == "slab"
    assert (told["plane"], told["count"], told["spacing_mm"]) == ("coronal", 3, 4.0)
    assert told["slab_mm"] == [78.0, 114.0]
    assert "sub-" not in json.dumps(told)


def test_prediction_gives_the_numbers_of_the_evaluation(
    trained, bids, command, tmp_path
) -> None:
    told = pd.read_csv(trained / "evaluation/test/predictions.tsv", sep="\t")
    scans = [bids / path for path in told.path]
    document = json.loads(command("predict", trained, *scans, "--json").stdout)
    found = [result["probabilities"]["AD"] for result in document["results"]]
    np.testing.assert_allclose(found, told.p_AD, atol=1e-5)
    ids = [result["participant_id"] for result in document["results"]]
    assert ids == told.participant_id.tolist()


def test_a_whole_data_set_is_predicted_without_labels(
    trained, bids, command, tmp_path
) -> None:
    command("predict", trained, bids, "--out", tmp_path / "out")
    told = pd.read_csv(tmp_path / "out/predictions.tsv", sep="\t")
    assert len(told) == 18
    people = pd.read_csv(tmp_path / "out/predictions_participants.tsv", sep="\t")
    assert len(people) == 16
    assert people.set_index("participant_id").num_scans["sub-00"] == 2


def test_the_network_has_learned_what_is_seen_in_volumes(trained) -> None:
    told = pd.read_csv(trained / "evaluation/test/predictions.tsv", sep="\t")
    assert (told.predicted == told.label).mean() >= 0.75


def test_a_dicom_series_gets_the_answer_of_the_same_nifti_file(
    trained, command, write_series, tmp_path
) -> None:
    voxels = paint_head(np.random.default_rng(5), 1)
    write_volume(tmp_path / "a.nii.gz", Volume(voxels, np.diag([4.0, 4, 4, 1])))
    write_series(
        tmp_path / "dicom", voxels, PixelSpacing=[4, 4],
        ImagePositionPatient=lambda number: [-4 * 47, -4 * 51, 4 * number],
    )  # fmt: skip
    nifti, dicom = (
        command(
            "predict", trained, tmp_path / name, "--json", "--out", tmp_path / "out",
            "--salt-file", tmp_path / "salt",
        )
        for name in ("a.nii.gz", "dicom")
    )  # fmt: skip
    first, second = (json.loads(one.stdout)["results"][0] for one in (nifti, dicom))
    for name, probability in first["probabilities"].items():
        assert second["probabilities"][name] == pytest.approx(probability, abs=1e-5)
    assert second["participant_id"].startswith("sub-")
    written = "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    for secret in ("Jane", "Doe", "P-0815", "1950", "mprage"):
        assert secret not in dicom.stdout + dicom.stderr + written


def test_scans_that_cannot_be_read_are_refused_beside_the_others(
    trained, bids, command, tmp_path
) -> None:
    good = next(bids.glob("sub-00/ses-M00/anat/*.gz"))
    bad = tmp_path / "cut.nii.gz"
    bad.write_bytes(good.read_bytes()[:500])
    told = command("predict", trained, good, bad, check=3)
    assert f"refused: {bad}" in told.stderr
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    told = command("predict", trained, picture, check=2)
    assert "NIfTI" in told.stderr


@pytest.mark.parametrize(
    "change",
    ["--data.plane=axial", "--data.plane=sagittal", "--data.slices=2",
     "--data.slab-mm=60 90", "--data.spacing-mm=5"],
)  # fmt: skip
def test_a_setting_of_the_cut_changes_the_model(
    trained, bids, command, tmp_path, change
) -> None:
    flag, _, value = change.partition("=")
    base = [word for word in SLICED if word.split("=")[0] != flag]
    out = tmp_path / "run"
    command("train", bids, *TINY, *base, flag, *value.split(), "--out", out)
    found, other = (read_model_folder(run) for run in (out, trained))
    assert found.sha256 != other.sha256
    cut, usual = (
        {**model.preprocessing.to_dict(), "mean": 0, "std": 0}
        for model in (found, other)
    )
    assert cut != usual


def test_settings_of_volumes_are_refused_for_pictures(cohort_folder, command) -> None:
    told = command(
        "train", cohort_folder, *TINY, "--data.plane=axial", "--data.slices=3", check=2
    )
    assert "data.plane" in told.stderr
    assert "data.slices" in told.stderr


@pytest.mark.slow
def test_folds_are_trained_and_scored_by_participant(bids, command, tmp_path) -> None:
    out = tmp_path / "cv"
    command(
        "cross-validate", bids, *TINY, *SLICED, "--folds=2", "--visits=baseline",
        "--data.plane=axial", "--out", out,
    )  # fmt: skip
    told = pd.read_csv(next(out.rglob("predictions.tsv")), sep="\t")
    assert told.path.is_unique
    command("predict", out, bids / "sub-15")


def test_a_split_is_written_for_volumes(bids, command, tmp_path) -> None:
    command("split", bids, "--out", tmp_path / "split.json")
    folds = json.loads((tmp_path / "split.json").read_text())["folds"]
    everyone = [who for part in folds[0].values() for who in part]
    assert len(everyone) == len(set(everyone)) == 14


def test_a_plan_counts_the_slices_of_volumes(bids, command) -> None:
    told = command(
        "bench", "--plan", bids, *TINY, *SLICED[:2], "--data.val=0", "--data.test=0.5",
        "--folds=1", "--seconds=0.1", "--json",
    )  # fmt: skip
    assert json.loads(told.stdout)["num_train"] % 3 == 0
