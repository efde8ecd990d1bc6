"""Flags of the verbs that no other test asks for, each up to what it writes."""

from __future__ import annotations

import json
import shutil

import nibabel as nib
import pandas as pd
import pytest
from PIL import Image

from vit_dementia.training.run_folder import RunFolder

from .conftest import CLASSES, TINY


def test_images_are_split_singly_only_on_request(
    cohort_folder, command, tmp_path
) -> None:
    command("split", cohort_folder, "--unit=image", "--out=images.json", "--json")
    split = json.loads((tmp_path / "images.json").read_text())
    assert split["unit"] == "image"
    assert all(name.startswith("image-") for name in split["folds"][0]["train"])
    told = command(
        "split", cohort_folder, "--val=0", "--test=0.5", "--out=s.json", "--json"
    )
    fold = json.loads(told.stdout)["folds"][0]
    assert (len(fold["train"]), len(fold["val"]), len(fold["test"])) == (6, 0, 6)


@pytest.mark.slow
def test_another_part_and_other_positive_classes_are_scored(
    cohort_folder, command, tmp_path
) -> None:
    command("train", cohort_folder, *TINY, "--epochs=1", "--data.val=0.4", "--out=run")
    told = command(
        "evaluate", "run", "--role=val", "--positive", CLASSES[0], "--json"
    ).stdout
    assert json.loads(told)["endpoint"]["positive"] == [CLASSES[0]]
    assert (tmp_path / "run/evaluation/val/report.html").is_file()


def test_scans_that_moved_are_scored_where_they_are_now(
    cohort_folder, command, tmp_path
) -> None:
    command("train", cohort_folder, *TINY, "--epochs=0", "--out=run")
    moved = tmp_path / "elsewhere"
    shutil.move(cohort_folder, moved)
    command("evaluate", "run", moved)
    assert (tmp_path / "run/evaluation/test/metrics.json").is_file()


@pytest.mark.slow
def test_folds_of_a_file_are_those_that_are_scored(
    cohort_folder, command, tmp_path
) -> None:
    command("split", cohort_folder, "--folds=2", "--seed=3", "--out=folds.json")
    command(
        "cross-validate", cohort_folder, *TINY, "--epochs=0", "--split=folds.json",
        "--out=cv",
    )  # fmt: skip
    ours = json.loads((tmp_path / "cv/split.json").read_text())
    assert ours == json.loads((tmp_path / "folds.json").read_text())


def test_labels_are_renamed_ordered_and_taken_from_a_table(
    cohort_folder, command, tmp_path
) -> None:
    files = sorted(cohort_folder.rglob("*.png"))
    table = tmp_path / "who.csv"
    rows = [
        f"{file.relative_to(cohort_folder).as_posix()},person-{file.name[4:7]},"
        f"{'sick' if CLASSES[1] in file.parts else 'well'}"
        for file in files
    ]
    table.write_text("\n".join(["path,who,state", *rows]))
    command(
        "train", cohort_folder, *TINY, "--epochs=0", "--participants", table,
        "--columns=participant_id=who", "--label-column=state",
        "--label-map=sick=ill", "--classes=ill,well", "--out=run",
    )  # fmt: skip
    cohort = RunFolder.open(tmp_path / "run").cohort()
    assert cohort.classes == ("ill", "well")
    assert set(cohort.table.participant_id) == {f"person-{n:03}" for n in range(12)}


@pytest.mark.parametrize(
    "flags",
    [
        (),
        pytest.param(("--whole-head",), marks=pytest.mark.slow),
        pytest.param(("--volumes",), marks=pytest.mark.slow),
    ],
)
def test_phantoms_are_made_as_asked(command, tmp_path, flags) -> None:
    command(
        "data", "phantom", "made", "--participants=2", "--classes=2", "--slices=3",
        "--seed=1", *flags,
    )  # fmt: skip
    made = tmp_path / "made"
    if "--volumes" in flags:
        scans = sorted(made.glob("sub-*/anat/*_T1w.nii.gz"))
        assert len(scans) == 2
        assert nib.load(scans[0]).header.get_zooms() == (2.0, 2.0, 2.0)
        return
    pictures = sorted((made / "images").rglob("*.png"))
    assert len(pictures) == 6
    with Image.open(pictures[0]) as picture:
        assert picture.mode == "L"
    assert len(pd.read_csv(made / "cohort.tsv", sep="\t")) == 6


def test_a_set_is_not_fetched_without_its_license_and_network_faults_are_one_line(
    command, tmp_path
) -> None:
    told = command(
        "data", "fetch", "sachinkumar413/alzheimer-mri-dataset", "set",
        "--site=http://127.0.0.1:9", "--accept-license", check=2,
    )  # fmt: skip
    assert len([s for s in told.stderr.splitlines() if "vit-dementia:" in s]) == 1
    assert not (tmp_path / "set").exists()
    command("data", "fetch", "unheard/of", "set", check=2)
