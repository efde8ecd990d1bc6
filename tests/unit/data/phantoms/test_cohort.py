from __future__ import annotations

import hashlib
import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.phantoms import make_phantoms
from vit_dementia.data.phantoms.grids import affine_of, volume_axes
from vit_dementia.errors import ConfigError, DataError


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_seed_gives_the_same_bytes(slices, tmp_path):
    again = make_phantoms(
        tmp_path / "again", participants=8, classes=4, slices=4, seed=3, workers=1
    )
    assert digests(again) == digests(slices)


def test_another_seed_gives_other_pictures(slices, tmp_path):
    other = make_phantoms(
        tmp_path / "other", participants=2, classes=4, slices=4, seed=4, workers=1
    )
    theirs = digests(slices).values()
    pictures = [d for name, d in digests(other).items() if name.startswith("images")]
    assert pictures
    assert not set(pictures) & set(theirs)


def test_people_depend_neither_on_workers_nor_on_how_many_they_are(slices, tmp_path):
    fewer = make_phantoms(
        tmp_path / "fewer", participants=3, classes=4, slices=4, seed=3, workers=2
    )
    all_of_them = digests(slices)
    pictures = {n: d for n, d in digests(fewer).items() if n.endswith(".png")}
    assert len(pictures) == 3 * 4 * 2
    assert pictures.items() <= all_of_them.items()


def test_cohort_reads_back_with_known_participants_and_classes_in_order(slices):
    for cohort in (Cohort.read(slices), Cohort.from_path(slices)):
        assert cohort.participants_known
        assert cohort.ordered
        assert cohort.classes == (
            "NonDemented",
            "VeryMildDemented",
            "MildDemented",
            "ModerateDemented",
        )
        assert all(path.is_file() for path in cohort.files())
        assert cohort.table["participant_id"].nunique() == 8
        assert set(cohort.table["sex"]) <= {"F", "M"}
        assert cohort.table["age"].between(55, 95).all()


def test_class_folders_alone_tell_the_participants(slices):
    cohort = Cohort.from_path(slices / "images")
    assert cohort.participants_known
    assert len(cohort.table) == 8 * 4


def test_pictures_are_gray_with_a_mask_of_the_same_size(slices):
    pictures = sorted((slices / "images").rglob("*.png"))
    assert len(pictures) == 8 * 4
    for path in pictures:
        mask = slices / "masks" / path.relative_to(slices / "images")
        with Image.open(path) as picture, Image.open(mask) as truth:
            assert picture.mode == truth.mode == "L"
            assert picture.size == truth.size == (80, 96)
            assert set(np.unique(np.asarray(truth))) <= {0, 255}


def test_masks_are_empty_only_without_dementia(slices):
    for folder in (slices / "masks").iterdir():
        if not folder.is_dir():
            continue
        for who in {path.name[:8] for path in folder.iterdir()}:
            masks = [np.asarray(Image.open(p)) for p in folder.glob(f"{who}_*")]
            changed = sum(int((mask > 0).sum()) for mask in masks)
            assert (changed > 0) == (folder.name != "NonDemented")


def test_truth_stands_beside_the_masks_only(slices, volumes):
    for path in (slices / "masks/truth.tsv", volumes / "derivatives/atrophy/truth.tsv"):
        truth = pd.read_csv(path, sep="\t")
        assert ((truth["atrophy"] > 0) == (truth["label"] != "NonDemented")).all()
    assert "atrophy" not in (slices / "cohort.tsv").read_text()
    assert "atrophy" not in (volumes / "participants.tsv").read_text()


def test_volumes_reopen_in_nibabel_with_their_affine(volumes):
    scans = sorted(volumes.glob("sub-*/anat/*_T1w.nii.gz"))
    assert [p.name for p in scans] == [f"sub-{n:04d}_T1w.nii.gz" for n in range(1, 5)]
    for path in scans:
        scan = nib.load(path)
        name = path.name[:8]
        mask = nib.load(
            volumes / f"derivatives/atrophy/{name}/anat/{name}_desc-atrophy_mask.nii.gz"
        )
        expected = affine_of(volume_axes(whole_head=False))
        assert scan.shape == mask.shape == (88, 104, 88)
        assert nib.aff2axcodes(scan.affine) == ("R", "A", "S")
        np.testing.assert_allclose(scan.affine, expected)
        np.testing.assert_allclose(mask.affine, expected)
        voxels = scan.get_fdata()
        assert np.isfinite(voxels).all()
        assert 0.15 < (voxels > 0).mean() < 0.35
        for axis in range(3):  # no brain is cut off
            edges = np.take(voxels, [0, -1], axis=axis)
            assert not edges.any()


def test_volumes_are_a_bids_data_set(volumes):
    people = pd.read_csv(volumes / "participants.tsv", sep="\t")
    folders = sorted(p.name for p in volumes.glob("sub-*"))
    assert people["participant_id"].tolist() == folders
    assert set(people["diagnosis"]) <= {
        "NonDemented",
        "VeryMildDemented",
        "MildDemented",
    }
    for folder in (volumes, volumes / "derivatives/atrophy"):
        about = json.loads((folder / "dataset_description.json").read_text())
        assert {"Name", "BIDSVersion"} <= about.keys()


def test_volumes_have_the_same_bytes_at_any_time(volumes, tmp_path):
    again = make_phantoms(
        tmp_path / "bids", participants=1, classes=3, volumes=True, seed=3, workers=1
    )
    scan = "sub-0001/anat/sub-0001_T1w.nii.gz"
    assert (again / scan).read_bytes() == (volumes / scan).read_bytes()


def test_progress_is_told_for_each_participant(tmp_path):
    told = []
    make_phantoms(
        tmp_path / "out",
        participants=3,
        slices=1,
        workers=1,
        report=lambda done, of: told.append((done, of)),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_folder_with_files_is_refused_and_untouched(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="new or empty folder"):
        make_phantoms(tmp_path, participants=1)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is a file"):
        make_phantoms(tmp_path / "mine.txt", participants=1)


def test_empty_folder_is_filled(tmp_path):
    out = tmp_path / "empty"
    out.mkdir()
    make_phantoms(out, participants=1, slices=1, workers=1)
    assert (out / "cohort.tsv").is_file()


def test_nothing_is_left_of_a_cohort_that_failed(tmp_path):
    def stop(done, of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_phantoms(
            tmp_path / "out", participants=2, slices=1, workers=1, report=stop
        )
    assert not list(tmp_path.iterdir())


def test_all_impossible_numbers_are_named_at_once(tmp_path):
    with pytest.raises(ConfigError) as caught:
        make_phantoms(tmp_path / "out", participants=0, classes=9)
    assert len(caught.value.faults) == 2
    assert not list(tmp_path.iterdir())


def test_whole_heads_are_written_on_larger_pictures(tmp_path):
    make_phantoms(
        tmp_path / "heads", participants=1, slices=1, whole_head=True, workers=1
    )
    (path,) = (tmp_path / "heads" / "images").rglob("*.png")
    picture = np.asarray(Image.open(path))
    assert picture.shape == (120, 96)
    assert (picture > 0).mean() > 0.9  # air has noise in it; nothing was stripped
