"""BIDS and CAPS: who is on which volume, and what the tables say of them."""

from __future__ import annotations

import os
import tarfile

import nibabel as nib
import numpy as np
import pytest

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.scans import scans_in
from vit_dementia.errors import ConfigError, DataError


@pytest.fixture
def scan(tmp_path):
    """Return a function that writes a small volume, no two alike."""
    count = iter(range(1, 10_000))

    def write(name: str):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        voxels = np.full((9, 9, 9), next(count), np.int16)
        voxels[4, 4, 4] = 0
        nib.Nifti1Image(voxels, np.eye(4)).to_filename(path)
        return path

    return write


@pytest.fixture
def table(tmp_path):
    """Return a function that writes a table below the data."""

    def write(name: str, *lines: str):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        separator = "," if name.endswith(".csv") else "\t"
        rows = "\n".join(line.replace(" ", separator) for line in lines)
        path.write_text(rows + "\n")
        return path

    return write


def column(cohort, name: str) -> list[str]:
    return cohort.table[name].tolist()


def bids(scan, table, *sessions: str):
    """Write a data set of three people, each with these sessions."""
    for who in ("01", "02", "03"):
        for session in sessions or ("",):
            folder = f"sub-{who}/{session}/anat" if session else f"sub-{who}/anat"
            middle = f"_{session}" if session else ""
            scan(f"{folder}/sub-{who}{middle}_T1w.nii.gz")
    table(
        "participants.tsv",
        "participant_id age sex diagnosis",
        "sub-01 70 F CN", "sub-02 71 M AD", "sub-03 30 M n/a",
    )  # fmt: skip


def test_labels_come_from_the_participants_table(scan, table, tmp_path) -> None:
    bids(scan, table)
    cohort = Cohort.from_path(tmp_path / "data")
    assert cohort.classes == ("CN", "AD")
    assert column(cohort, "participant_id") == ["sub-01", "sub-02"]
    assert column(cohort, "age") == [70, 71]
    assert column(cohort, "sex") == ["F", "M"]
    assert set(column(cohort, "participant_source")) == {"bids"}
    assert "1 scans have no label and were left out" in cohort.notes
    assert any("'diagnosis'" in note for note in cohort.notes)


def test_people_without_a_diagnosis_are_kept_only_when_asked_for(
    scan, table, tmp_path
) -> None:
    bids(scan, table)
    cohort = Cohort.from_path(tmp_path / "data", keep_unlabelled=True)
    assert cohort.labels().tolist() == [0, 1, -1]
    assert cohort.classes == ("CN", "AD")  # n/a is never a class


def test_a_visits_own_label_comes_before_the_persons(scan, table, tmp_path) -> None:
    bids(scan, table, "ses-M00", "ses-M12")
    table(
        "sub-01/sub-01_sessions.tsv",
        "session_id diagnosis age", "ses-M000 CN 70", "ses-M012 AD 71",
    )  # fmt: skip
    cohort = Cohort.from_path(tmp_path / "data")
    rows = cohort.table[["participant_id", "session_id", "label", "age"]]
    assert rows.to_numpy().tolist() == [
        ["sub-01", "M000", "CN", 70],
        ["sub-01", "M012", "AD", 71],
        ["sub-02", "M000", "AD", 71],
        ["sub-02", "M012", "AD", 71],
    ]


def test_a_visit_that_its_table_calls_unknown_stays_unlabelled(
    scan, table, tmp_path
) -> None:
    bids(scan, table, "ses-M00", "ses-M12")
    table(
        "sub-01/sub-01_sessions.tsv",
        "session_id diagnosis", "ses-M00 CN", "ses-M12 n/a",
    )  # fmt: skip
    cohort = Cohort.from_path(tmp_path / "data", keep_unlabelled=True)
    assert column(cohort, "label")[:2] == ["CN", "n/a"]


@pytest.mark.parametrize(
    ("visits", "kept"),
    [("baseline", ["M000"]), ("last", ["M108"]), ("all", ["M000", "M012", "M108"])],
)
def test_visits_are_chosen_in_the_order_of_time(
    scan, table, tmp_path, visits, kept
) -> None:
    bids(scan, table, "ses-M108", "ses-M12", "ses-M000")
    cohort = Cohort.from_path(tmp_path / "data", visits=visits)
    for who in ("sub-01", "sub-02"):
        mine = cohort.table[cohort.table["participant_id"] == who]
        assert sorted(mine["session_id"]) == kept


def test_a_rating_stands_in_where_there_is_no_diagnosis(scan, table, tmp_path) -> None:
    bids(scan, table)
    table(
        "participants.tsv",
        "participant_id cdr", "sub-01 0.0", "sub-02 0.5", "sub-03 n/a",
    )  # fmt: skip
    cohort = Cohort.from_path(tmp_path / "data")
    assert cohort.classes == ("0", "0.5")
    assert cohort.ordered


def test_a_named_column_is_taken_and_labels_are_merged(scan, table, tmp_path) -> None:
    bids(scan, table)
    table(
        "participants.tsv",
        "participant_id diagnosis group",
        "sub-01 CN healthy", "sub-02 CN mild", "sub-03 CN severe",
    )  # fmt: skip
    cohort = Cohort.from_path(
        tmp_path / "data",
        label_column="group",
        label_map={"mild": "AD", "severe": "AD"},
    )
    assert column(cohort, "label") == ["healthy", "AD", "AD"]
    with pytest.raises(ConfigError, match="no table of this data set has 'stage'"):
        Cohort.from_path(tmp_path / "data", label_column="stage")


def test_acquisitions_and_runs_are_scans_of_one_person(scan, table, tmp_path) -> None:
    bids(scan, table)
    for more in ("acq-mprage_run-01", "acq-mprage_run-02"):
        scan(f"sub-01/anat/sub-01_{more}_T1w.nii.gz")
    scan("sub-02/anat/sub-02_T2w.nii.gz")
    scan("derivatives/fast/sub-01/anat/sub-01_desc-brain_T1w.nii.gz")
    cohort = Cohort.from_path(tmp_path / "data")
    assert len(cohort) == 4
    assert cohort.table["participant_id"].nunique() == 2


def test_a_derived_data_set_uses_the_tables_of_the_raw_one(
    scan, table, tmp_path
) -> None:
    bids(scan, table)
    for who in ("01", "02"):
        scan(f"derivatives/fast/sub-{who}/anat/sub-{who}_space-MNI_T1w.nii.gz")
    cohort = Cohort.from_path(tmp_path / "data/derivatives/fast")
    assert column(cohort, "label") == ["CN", "AD"]


def test_two_versions_of_one_scan_are_refused(scan, table, tmp_path) -> None:
    bids(scan, table)
    scan("sub-01/anat/sub-01_desc-brain_T1w.nii.gz")
    with pytest.raises(DataError, match="2 versions of one scan"):
        Cohort.from_path(tmp_path / "data")


def test_a_file_in_the_folder_of_somebody_else_is_refused(
    scan, table, tmp_path
) -> None:
    bids(scan, table)
    scan("sub-01/anat/sub-02_run-9_T1w.nii.gz")
    with pytest.raises(DataError, match="lies in sub-01"):
        Cohort.from_path(tmp_path / "data")


def test_links_to_data_that_was_never_fetched_are_listed(scan, table, tmp_path) -> None:
    bids(scan, table)
    table(
        "participants.tsv",
        "participant_id diagnosis", "sub-01 CN", "sub-02 AD", "sub-03 AD",
    )  # fmt: skip
    link = tmp_path / "data/sub-02/anat/sub-02_T1w.nii.gz"
    link.unlink()
    link.symlink_to("../../.git/annex/objects/nothing")
    with pytest.raises(DataError, match="git annex get"):
        Cohort.from_path(tmp_path / "data")


def test_a_folder_or_a_pipe_in_place_of_a_volume_is_called_that(
    scan, table, tmp_path
) -> None:
    bids(scan, table)
    anat = tmp_path / "data/sub-04/anat"
    (anat / "sub-04_T1w.nii.gz").mkdir(parents=True)
    os.mkfifo(anat / "sub-04_run-2_T1w.nii.gz")
    with pytest.raises(DataError) as refused:
        Cohort.from_path(tmp_path / "data")
    told = str(refused.value)
    assert told.count("is not a regular file; a volume is needed") == 2
    assert "git annex" not in told


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ((), "participants.tsv is not there"),
        (("participant_id age", "sub-01 60"), "no column is called diagnosis or cdr"),
        (
            ("participant_id cdr", "01 0", "02 1"),
            "tells of '01' and others, and .*'sub",
        ),
        (("participant_id cdr", "SUB-01 0", "SUB-02 1"), "'SUB-01'.*spell ids alike"),
        (
            ("participant_id cdr", "sub-09 0", "sub-01 n/a"),
            "stands in the column 'cdr'",
        ),
    ],
)
def test_where_no_scan_has_a_label_it_is_told_why(
    scan, table, tmp_path, lines, told
) -> None:
    for who in ("01", "02"):
        scan(f"sub-{who}/anat/sub-{who}_T1w.nii.gz")
    if lines:
        table("participants.tsv", *lines)
    with pytest.raises(DataError, match=rf"no labelled scan \(.*{told}"):
        Cohort.from_path(tmp_path / "data")
    assert len(Cohort.from_path(tmp_path / "data", keep_unlabelled=True)) == 2


def test_a_folder_or_a_pipe_in_place_of_the_table_is_called_that(
    scan, tmp_path
) -> None:
    scan("sub-01/anat/sub-01_T1w.nii.gz")
    table = tmp_path / "data/participants.tsv"
    for make in (table.mkdir, lambda: os.mkfifo(table)):
        make()
        with pytest.raises(DataError, match=r"participants\.tsv is no file"):
            Cohort.from_path(tmp_path / "data")
        table.rmdir() if table.is_dir() else table.unlink()


def test_two_rows_for_one_person_are_refused_with_their_lines(
    scan, table, tmp_path
) -> None:
    bids(scan, table)
    table(
        "participants.tsv",
        "participant_id diagnosis", "sub-01 CN", "sub-02 AD", "sub-01 AD",
    )  # fmt: skip
    with pytest.raises(DataError, match=r"line 4: sub-01 stands in line 2"):
        Cohort.from_path(tmp_path / "data")


def test_a_data_set_without_tables_serves_for_training_without_labels(
    scan, tmp_path
) -> None:
    for who in ("01", "02"):
        scan(f"sub-{who}/anat/sub-{who}_T1w.nii")
    with pytest.raises(DataError, match="two classes are needed"):
        Cohort.from_path(tmp_path / "data")


def test_caps_gives_the_cropped_volume_and_labels_by_a_table(
    scan, table, tmp_path
) -> None:
    for who in ("ADNI002S0295", "ADNI011S0002"):
        folder = f"caps/subjects/sub-{who}/ses-M00/t1_linear/sub-{who}_ses-M00"
        for made in ("_desc-Crop", ""):
            scan(f"{folder}_space-MNI152NLin2009cSym{made}_res-1x1x1_T1w.nii.gz")
    people = table(
        "people.tsv",
        "participant_id session_id diagnosis sex",
        "sub-ADNI002S0295 ses-M000 CN F", "sub-ADNI002S0295 ses-M006 AD F",
        "sub-ADNI011S0002 ses-M000 AD M",
    )  # fmt: skip
    cohort = Cohort.from_path(tmp_path / "data/caps", participants=people)
    assert all("desc-Crop" in path for path in column(cohort, "path"))
    assert column(cohort, "participant_id") == ["002_S_0295", "011_S_0002"]
    assert column(cohort, "label") == ["CN", "AD"]


def test_the_oasis_1_table_finds_its_people_by_the_archives_names(
    scan, table, tmp_path
) -> None:
    for who in ("0001_MR1", "0003_MR1", "0003_MR2", "0028_MR1"):
        scan(f"images/OAS1_{who}_mpr_n4_anon_111_t88_gfc.nii")
    people = table(
        "oasis.csv",
        "ID M/F Age CDR", "OAS1_0001_MR1 F 74 0", "OAS1_0003_MR1 F 73 0.5",
        "OAS1_0003_MR2 F 73 ", "OAS1_0028_MR1 M 86 1",
    )  # fmt: skip
    cohort = Cohort.from_path(tmp_path / "data/images", participants=people)
    assert column(cohort, "label") == ["0", "0.5", "1"]
    assert column(cohort, "age") == [74, 73, 86]
    assert column(cohort, "session_id") == ["MR1"] * 3  # a blank is no control


def test_oasis_2_has_its_rating_by_visit(scan, table, tmp_path) -> None:
    for visit in (1, 2):
        scan(f"images/OAS2_0014_MR{visit}.nii.gz")
    table_of = tmp_path / "data/oasis2.csv"
    table_of.write_text(
        "Subject ID,MRI ID,Group,Visit,M/F,Age,CDR\n"
        "OAS2_0014,OAS2_0014_MR1,Demented,1,M,76,0\n"
        "OAS2_0014,OAS2_0014_MR2,Demented,2,M,77,0.5\n"
    )
    cohort = Cohort.from_path(tmp_path / "data/images", participants=table_of)
    assert column(cohort, "label") == ["0", "0.5"]
    assert column(cohort, "participant_id") == ["OAS2_0014"] * 2


def test_oasis_3_takes_the_nearest_clinical_visit_within_a_year(
    scan, table, tmp_path
) -> None:
    for day in ("d0129", "d0400", "d2000"):
        scan(f"images/sub-OAS30001_ses-{day}_T1w.nii.gz")
    people = table(
        "clinical.csv",
        "Subject session_id cdr", "OAS30001 OAS30001_ClinicalData_d0000 0",
        "OAS30001 OAS30001_ClinicalData_d0339 0.5",
    )  # fmt: skip
    cohort = Cohort.from_path(
        tmp_path / "data/images", participants=people, keep_unlabelled=True
    )
    assert column(cohort, "label") == ["0", "0.5", "n/a"]
    assert any("nearest clinical visit" in note for note in cohort.notes)


def test_folders_of_volumes_are_classes(scan, tmp_path) -> None:
    for label in ("CN", "AD"):
        for who in ("1", "2"):
            scan(f"{label}/sub-{label}{who}_T1w.nii.gz")
    cohort = Cohort.from_path(tmp_path / "data")
    assert cohort.classes == ("CN", "AD")
    assert len(cohort) == 4


def test_pictures_among_volumes_are_refused(scan, tmp_path) -> None:
    for label in ("CN", "AD"):
        scan(f"{label}/a.nii")
        (tmp_path / "data" / label / "b.png").write_bytes(b"x")
    with pytest.raises(DataError, match="2 pictures"):
        Cohort.from_path(tmp_path / "data")


def test_a_table_of_paths_may_name_volumes(scan, table, tmp_path) -> None:
    for name in "ab":
        scan(f"{name}.nii.gz")
    table("scans.tsv", "path label participant_id", "a.nii.gz CN p1", "b.nii.gz AD p2")
    cohort = Cohort.from_path(tmp_path / "data/scans.tsv")
    assert column(cohort, "participant_id") == ["p1", "p2"]


def test_the_real_oasis_1_data_set_is_counted_right(shared_data, tmp_path) -> None:
    archive = shared_data / "oasis1_bids" / "oasis1_bids_dev.tar"
    with tarfile.open(archive) as packed:
        for member in packed:
            file = tmp_path / member.name
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.name.endswith(".tsv"):
                file.write_bytes(packed.extractfile(member).read())
            elif member.isfile():
                file.touch()  # nothing is decoded
    root = tmp_path / "oasis1_bids"
    everyone = Cohort.from_path(root, keep_unlabelled=True)
    assert len(everyone) == 339
    assert everyone.table["participant_id"].nunique() == 323
    assert "OAS1_0254" in set(everyone.table["participant_id"])
    people = everyone.table.drop_duplicates("participant_id")
    assert people["label"].value_counts().to_dict() == {
        "n/a": 144, "CN": 104, "very mild": 53, "mild": 21, "moderate": 1,
    }  # fmt: skip
    rated = Cohort.from_path(root, label_column="cdr", visits="baseline")
    assert rated.classes == ("0", "0.5", "1", "2")
    assert rated.ordered
    assert len(rated) == 179


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("oasis_cross-sectional.csv", {"0": 135, "0.5": 70, "1": 28, "2": 2}),
        ("oasis_longitudinal.csv", {"0": 206, "0.5": 123, "1": 41, "2": 3}),
    ],
)
def test_the_real_oasis_tables_label_sessions_by_their_names(
    shared_data, tmp_path, name, told
) -> None:
    table = shared_data / "oasis_tables" / name
    for line in table.read_text().splitlines()[1:]:
        session = next(cell for cell in reversed(line.split(",")[:2]) if "_MR" in cell)
        (tmp_path / f"{session}_mpr-1_anon.nii.gz").touch()
    cohort = Cohort.from_path(tmp_path, participants=table)
    assert cohort.table["label"].value_counts().to_dict() == told


@pytest.mark.parametrize("session", ["", "ses-M000/"])
def test_the_folder_of_one_participant_stands_for_its_t1_weighted_volumes(
    scan, tmp_path, session
) -> None:
    prefix = "sub-01_" + session.replace("/", "_")
    wanted = scan(f"sub-01/{session}anat/{prefix}T1w.nii.gz")
    scan(f"sub-01/{session}anat/{prefix}T2w.nii.gz")
    scan(f"sub-01/{session}func/{prefix}task-rest_bold.nii.gz")
    assert scans_in([tmp_path / "data" / "sub-01"]) == [wanted]
