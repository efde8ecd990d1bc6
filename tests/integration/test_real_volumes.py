"""The whole way on real scans: prepared, trained on, scored and asked about."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pandas as pd
import pytest

from vit_dementia.data.cohort import Cohort

from .conftest import TINY

pytestmark = pytest.mark.slow

MERGED = "--label-map=very mild=dementia"
SLICES = (*TINY, "--input=slices", "--data.spacing-mm=4", "--data.slices=3")
INFLATED = ("--input=volume", "--data.spacing-mm=4", "--device=cpu")
ONCE = ("--epochs=1", "--cache=cache")


@pytest.fixture
def registered(shared_data, tmp_path) -> Path:
    """Return 24 of the registered brains, eight of them without a diagnosis."""
    with tarfile.open(shared_data / "oasis1_bids" / "oasis1_bids_dev.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    whole, few = tmp_path / "oasis1_bids", tmp_path / "few"
    people = pd.read_csv(whole / "participants.tsv", sep="\t", keep_default_na=False)
    of = [people[people.diagnosis == name] for name in ("CN", "very mild", "n/a")]
    chosen = pd.concat([rows.head(8) for rows in of])
    for who in chosen.participant_id:
        shutil.copytree(whole / who, few / who)
    chosen.to_csv(few / "participants.tsv", sep="\t", index=False)
    shutil.copy(whole / "dataset_description.json", few)
    return few


def test_registered_brains_go_all_the_way(
    registered, command, tmp_path, caplog
) -> None:
    command("prepare", registered, "prepared", "--pipeline=none", "--spacing-mm=4")
    everybody = Cohort.from_path(tmp_path / "prepared", keep_unlabelled=True)
    assert everybody.table.participant_id.nunique() == 24
    command("split", "prepared", MERGED, "--out=split.json")
    known = ("prepared", MERGED, "--split=split.json", *ONCE)
    command("train", *known, *SLICES, "--out=slices")
    command("train", *known, *INFLATED, "--init=slices", "--out=volumes")
    assert "coronal slices made into weights for volumes" in caplog.text
    raw = next(registered.glob("sub-*/ses-*/anat/*.nii.gz"))
    for model in ("slices", "volumes"):
        command("evaluate", model, "--cache=cache")
        scored = tmp_path / model / "evaluation" / "test"
        told = pd.read_csv(scored / "predictions_participants.tsv", sep="\t")
        assert set(told.label) == {"CN", "dementia"}  # whoever is unknown is no control
        assert (scored / "floors/linear-model-on-pixels.tsv").is_file()
        trained_on = pd.read_csv(tmp_path / model / "cohort.tsv", sep="\t")
        assert trained_on.participant_id.nunique() == 16
        answer = json.loads(command("predict", model, raw, "--json").stdout)
        assert set(answer["results"][0]["probabilities"]) == {"CN", "dementia"}


def test_real_brains_teach_what_answers_for_scans_of_other_scanners(
    registered, shared_data, command, tmp_path
) -> None:
    """A model of one scanner's brains is asked about T1 brains and what is none."""
    for name in ("uih_t1_gre_fsp_3d_sag_160", "ge_sag_ir_spgr_FRUIT_196"):
        with tarfile.open(shared_data / "mr_dicom" / f"{name}.tar.xz") as archive:
            archive.extractall(tmp_path / name, filter="data")
    way = ("--pipeline=fast", "--skull-strip", "--spacing-mm=4")
    command("prepare", registered, "prepared", *way)
    command("train", "prepared", MERGED, *SLICES, *ONCE, "--out=slices")
    nifti = shared_data / "mri_nifti_samples"
    files = ("chris_t1.nii.gz", "IXI012-HH-1211_T1.nii.gz", "someones_anatomy.nii.gz")
    brains = [*(nifti / name for name in files), "uih_t1_gre_fsp_3d_sag_160"]
    others = [nifti / "someones_epi.nii.gz", "ge_sag_ir_spgr_FRUIT_196"]
    others += sorted(nifti.glob("DEFECT_*T1w.nii.gz"))
    words = ("--json", "--salt-file=salt")
    told = json.loads(command("predict", "slices", *brains, *words).stdout)["results"]
    assert len(told) == len(brains)
    for one in told:
        assert sum(one["probabilities"].values()) == pytest.approx(1)
        assert one["quality"]["verdict"] in {"pass", "warn"}
        is_far = any(
            "another scanner" in reason for reason in one["quality"]["reasons"]
        )
        assert is_far == (one["distance"] > 1)
        assert one["abstained"] >= is_far
    assert told[2]["quality"]["verdict"] == "warn"  # voxels of 2.75 mm
    refused = command("predict", "slices", *others, *words, check=3).stderr
    assert refused.count("refused by quality control") == len(others)
