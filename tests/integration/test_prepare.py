"""``vit-dementia prepare`` from scans on disk to what training reads."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from tests.unit.preparation.heads import error_mm, head

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.preparation.reference import GRID, reference

from .conftest import TINY

# One of five scans is cut off.
NONE = ("--pipeline=none", "--workers=1", "--limits.unreadable=0.3")


def brain(seed: int) -> Volume:
    """Return the template with noise of its own, at 2 mm."""
    rng = np.random.default_rng(seed)
    intensity = reference(None).intensity
    noisy = np.abs(intensity + rng.normal(0, 0.03, intensity.shape))
    return Volume((900 * noisy).astype(np.float32), GRID.affine)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Return a BIDS data set: two good scans, one upside down, one cut off, one CT."""
    root = tmp_path_factory.mktemp("bids")
    scans = {name: brain(seed) for seed, name in enumerate(("01", "02", "03"))}
    turned = np.ascontiguousarray(scans["03"].voxels[:, :, ::-1])
    scans["03"] = Volume(turned, GRID.affine)
    scans["05"] = Volume(scans["01"].voxels - 1000, GRID.affine)
    for name, volume in scans.items():
        write_volume(root / f"sub-{name}/anat/sub-{name}_T1w.nii.gz", volume)
    cut = root / "sub-04/anat/sub-04_T1w.nii.gz"
    cut.parent.mkdir(parents=True)
    whole = (root / "sub-01/anat/sub-01_T1w.nii.gz").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    rows = ["participant_id\tdiagnosis\tage", "sub-01\tCN\t70", "sub-02\tAD\t71"]
    rows += [f"sub-{name}\tn/a\tn/a" for name in ("03", "04", "05")]
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1"}')
    return root


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(folder.rglob("sub-*/**/*.*"))
    return {
        str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in files
    }


def test_good_scans_are_written_and_bad_ones_told_apart(
    made, command, tmp_path
) -> None:
    told = command("prepare", made, "out", *NONE, "--json", check=3)
    out = tmp_path / "out"
    scans = json.loads(told.stdout)["scans"]
    assert [scan["outcome"] for scan in scans] == [
        "prepared", "prepared", "refused", "failed", "refused",
    ]  # fmt: skip
    quality = pd.read_csv(out / "quality.tsv", sep="\t", keep_default_na=False)
    assert quality.verdict.tolist() == ["pass", "pass", "fail", "n/a", "fail"]
    assert quality.codes[2].split("; ")[0] == "orientation"
    assert quality.codes[4].split("; ")[0] == "negative"
    failures = pd.read_csv(out / "failures.tsv", sep="\t")
    assert failures.scan.tolist() == [3, 4, 5]
    assert "cut off" in failures.reason[1]
    cohort = Cohort.from_path(out)
    assert cohort.table.participant_id.tolist() == ["sub-01", "sub-02"]
    assert cohort.table.label.tolist() == ["CN", "AD"]
    assert len(json.loads((out / "cohort.json").read_text())["problems"]) == 3
    volume = nib.load(cohort.file_of(0))
    assert np.array_equal(volume.affine, GRID.affine)
    assert np.array_equal(volume.get_fdata(), brain(0).voxels)
    texts = [(out / "quality.html").read_text(), (out / "preparation.json").read_text()]
    texts += [file.read_text() for file in out.rglob("sub-*/**/*.json")]
    assert len(texts) == 4
    for text in texts:  # nobody and no path is named
        assert not any(word in text for word in ("sub-0", str(made), str(tmp_path)))


@pytest.mark.slow
def test_what_is_made_is_kept_and_what_changed_is_made_again(
    made, command, tmp_path
) -> None:
    command("prepare", made, "out", *NONE, check=3)
    out = tmp_path / "out"
    before = hashes(out)
    again = json.loads(command("prepare", made, "out", *NONE, "--json", check=3).stdout)
    assert again["counts"]["kept"] == 2
    assert again["counts"]["prepared"] == 0
    assert hashes(out) == before
    scaled = command("prepare", made, "out", *NONE, "--intensity=z-score", check=3)
    assert "2 prepared, 0 kept" in scaled.stderr
    assert hashes(out) != before


@pytest.mark.slow
def test_a_scan_is_answered_alike_raw_and_prepared_as_dicom_and_as_nifti(
    command, tmp_path, write_series
) -> None:
    """A model of prepared scans prepares a raw one as it learned."""
    rows = ["participant_id\tdiagnosis"]
    for number in range(8):
        who = f"sub-{number:02}"
        scan = tmp_path / "data" / who / "anat" / f"{who}_T1w.nii.gz"
        write_volume(scan, brain(number))
        rows.append(f"{who}\t{('CN', 'AD')[number % 2]}")
    (tmp_path / "data" / "participants.tsv").write_text("\n".join(rows) + "\n")
    command("prepare", "data", "prepared", *NONE)
    words = ("--data.spacing-mm=4", "--data.slices=3", "--epochs=1")
    command("train", "prepared", *TINY, *words, "--out=run")

    voxels = brain(9).voxels.round()
    (tmp_path / "nifti").mkdir()
    write_volume(tmp_path / "nifti" / "sub-09_T1w.nii.gz", Volume(voxels, GRID.affine))
    last = (np.array(GRID.affine) @ [*(np.array(voxels.shape) - 1), 1])[:3]
    bottom = float(GRID.affine[2, 3])
    write_series(
        tmp_path / "dicom", voxels.astype(np.uint16),
        ImagePositionPatient=lambda number: [-last[0], -last[1], bottom + 2 * number],
    )  # fmt: skip
    told = {}
    for kind in ("nifti", "dicom"):
        command("prepare", kind, f"{kind}-prepared", *NONE, "--salt-file=salt")
        for scan in (kind, f"{kind}-prepared"):
            done = command("predict", "run", scan, "--salt-file=salt", "--json")
            (told[scan],) = json.loads(done.stdout)["results"]
            assert "Doe" not in done.stdout + done.stderr
    for one in told.values():
        assert one["probabilities"] == pytest.approx(
            told["nifti-prepared"]["probabilities"], abs=1e-6
        )
    assert told["nifti"]["participant_id"] == "sub-09"
    people = {told[name]["participant_id"] for name in ("dicom", "dicom-prepared")}
    assert len(people) == 1
    assert not people & {"sub-09", "P-0815"}


@pytest.mark.slow
def test_a_damaged_output_is_made_again(made, command, tmp_path) -> None:
    command("prepare", made, "out", *NONE, check=3)
    before = hashes(tmp_path / "out")
    name = next(name for name in before if name.endswith(".nii.gz"))
    content = (tmp_path / "out" / name).read_bytes()
    (tmp_path / "out" / name).write_bytes(content[:1000])
    told = command("prepare", made, "out", *NONE, check=3)
    assert "1 prepared, 1 kept" in told.stderr
    assert hashes(tmp_path / "out") == before


@pytest.mark.slow
def test_scans_are_brought_to_one_spacing_stripped_scaled_and_kept_on_request(
    made, command, tmp_path
) -> None:
    command(
        "prepare", made, "out", *NONE, "--keep-failed", "--spacing-mm=3",
        "--skull-strip", "--intensity=percentile", "--seed=4", check=3,
    )  # fmt: skip
    cohort = Cohort.from_path(tmp_path / "out", keep_unlabelled=True)
    # sub-05 is CT: no voxel of its brain is above 0, so that it has no scale.
    assert cohort.table.participant_id.tolist() == ["sub-01", "sub-02", "sub-03"]
    volume = nib.load(cohort.file_of(0))
    assert volume.header.get_zooms() == (3, 3, 3)
    voxels = volume.get_fdata()
    assert (voxels.min(), voxels.max()) == (0, 1)
    assert not voxels[:3].any()


def test_scans_are_not_overwritten_by_what_is_made_of_them(made, command) -> None:
    for out in (made, made / "more"):
        told = command("prepare", made, out, *NONE, check=2)
        assert "lies among the scans" in told.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("pipeline", "most_mm"), [("fast", 4), ("t1-linear", 2)])
def test_a_head_is_laid_where_it_is_known_to_be_the_same_every_time(
    command, tmp_path, pipeline, most_mm
) -> None:
    phantom = head(1, whole_head=True)
    write_volume(tmp_path / "heads/sub-01/anat/sub-01_T1w.nii.gz", phantom.volume)
    for folder in ("once", "twice"):
        command("prepare", "heads", folder, f"--pipeline={pipeline}", "--workers=1")
    assert hashes(tmp_path / "once") == hashes(tmp_path / "twice")
    cohort = Cohort.from_path(tmp_path / "once", keep_unlabelled=True)
    volume = nib.load(cohort.file_of(0))
    assert volume.shape == (169, 208, 179)
    assert np.array_equal(volume.affine[:3, 3], [-84, -119, -78])
    sidecar = cohort.file_of(0).with_suffix("").with_suffix(".json")
    told = json.loads(sidecar.read_text())["Preparation"]
    assert {step["Name"] for step in told["Steps"]} >= {
        "N4 bias correction", "affine registration", "resampling",
    }  # fmt: skip
    found = np.array(told["ScanOfTemplate"])
    assert error_mm(found, phantom.scan_of_template) < most_mm


@pytest.mark.slow
def test_a_template_from_a_file_gives_its_name(made, command, tmp_path) -> None:
    there = reference(None)
    write_volume(
        tmp_path / "tpl-MyBrain_T1w.nii.gz", Volume(there.intensity, GRID.affine)
    )
    command(
        "prepare", made, "out", *NONE, "--template=tpl-MyBrain_T1w.nii.gz", "--json",
        check=3,
    )  # fmt: skip
    told = json.loads((tmp_path / "out/preparation.json").read_text())
    assert told["template"]["Space"] == "MyBrain"
    assert "tpl-MyBrain_T1w.nii.gz" in told["template"]["Source"]
