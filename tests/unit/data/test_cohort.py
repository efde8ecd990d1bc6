from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.records import COLUMNS
from vit_dementia.errors import ConfigError, DataError, ManifestError


def write_table(folder, text: str, name: str = "table.csv"):
    path = folder / name
    path.write_text(text)
    return path


@pytest.fixture
def classes(paint, tmp_path):
    """Return a folder of three classes, three pictures each."""
    for label in ("AD", "CN", "MCI"):
        for number in range(3):
            paint(f"{label}/sub-{label}{number}_ses-M00.png")
    return tmp_path / "data"


def test_class_folders_become_a_cohort_in_order_of_severity(classes) -> None:
    cohort = Cohort.from_path(classes)
    assert tuple(cohort.table.columns) == COLUMNS
    assert (cohort.classes, cohort.ordered) == (("CN", "MCI", "AD"), True)
    assert cohort.labels().tolist() == [2, 2, 2, 0, 0, 0, 1, 1, 1]
    assert cohort.participants_known
    assert not cohort.brings_split
    assert set(cohort.table["participant_source"]) == {"bids"}
    assert set(cohort.table["session_id"]) == {"M000"}
    assert cohort.table["age"].isna().all()
    assert all(file.is_file() for file in cohort.files())
    assert cohort.file_of(0) == cohort.files()[0]


def test_a_cohort_is_the_same_after_writing_and_reading(classes, tmp_path) -> None:
    cohort = Cohort.from_path(classes)
    cohort.table.loc[0, "age"] = 71.5
    cohort.table.loc[1, "site"] = 'tab\tand "quote"'
    (tmp_path / "run").mkdir()
    cohort.write(tmp_path / "run")
    again = Cohort.read(tmp_path / "run")
    pd.testing.assert_frame_equal(again.table, cohort.table)
    assert again.fingerprint == cohort.fingerprint
    assert (again.classes, again.ordered) == (cohort.classes, cohort.ordered)
    assert again.notes == cohort.notes
    assert again.root.resolve() == cohort.root.resolve()
    assert str(tmp_path) not in (tmp_path / "run" / "cohort.json").read_text()


def test_reading_refuses_what_was_changed_or_is_of_another_version(
    classes, tmp_path
) -> None:
    path = tmp_path / "run" / "cohort.tsv"
    Cohort.from_path(classes).write(path)
    text = path.read_text()
    path.write_text(text.replace("\tAD\t", "\tDA\t"))
    with pytest.raises(ManifestError, match="found the labels 'DA'"):
        Cohort.read(path)
    path.write_text(text.replace("participant_source", "source"))
    with pytest.raises(ManifestError, match="has no column 'participant_source'"):
        Cohort.read(path)
    path.write_text(text)
    facts = json.loads(path.with_suffix(".json").read_text())
    for wrong in ({"format": 99}, {"classes": "CN"}, {"ordered": 1}, {"root": None}):
        path.with_suffix(".json").write_text(json.dumps({**facts, **wrong}))
        with pytest.raises(ManifestError, match=r"cohort\.json"):
            Cohort.read(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(ManifestError, match="cannot be read as JSON"):
        Cohort.read(path)


def test_a_folder_with_a_cohort_table_is_read_as_that_table(classes) -> None:
    cohort = Cohort.from_path(classes).reordered(["AD", "CN", "MCI"])
    cohort.write(classes)
    again = Cohort.from_path(classes)
    assert again.classes == ("AD", "CN", "MCI")
    assert not again.ordered
    pd.testing.assert_frame_equal(again.table, cohort.table)
    (classes / "cohort.json").unlink()
    assert Cohort.from_path(classes).classes == ("CN", "MCI", "AD")


def test_a_table_with_all_columns_is_taken_along(paint, tmp_path) -> None:
    for name in "abcd":
        paint(f"x/{name}.png")
    table = write_table(
        tmp_path / "data",
        "path,label,participant_id,session_id,age,sex,site,split,extra\n"
        "x/a.png,CN,OAS1_0001_MR1,OAS1_0001_MR1,70,female,Bonn,training,1\n"
        "./x/b.png,AD,sub-OAS10002,ses-MR2,n/a,M,,Testing,2\n"
        "x/c.png,AD,p3,,,,,training,3\nx/d.png,CN,p4,,,,,test,4\n",
    )
    cohort = Cohort.from_path(table)
    assert cohort.table["participant_id"].tolist() == [
        "OAS1_0001",
        "OAS1_0002",
        "p3",
        "p4",
    ]
    assert cohort.table["session_id"].tolist()[:2] == ["MR1", "MR2"]
    assert cohort.table["age"].tolist()[0] == 70
    assert np.isnan(cohort.table["age"].tolist()[1])
    assert cohort.table["sex"].tolist()[:3] == ["F", "M", "n/a"]
    assert cohort.table["site"].tolist()[:2] == ["Bonn", "n/a"]
    assert cohort.table["split"].tolist()[:2] == ["train", "test"]
    assert cohort.table["path"].tolist()[:2] == ["x/a.png", "x/b.png"]
    assert set(cohort.table["participant_source"]) == {"table"}
    assert cohort.brings_split


def test_columns_can_have_other_names(paint, tmp_path) -> None:
    paint("a.png")
    paint("b.png")
    table = write_table(tmp_path / "data", "file,dx\na.png,0\nb.png,0.5\n")
    cohort = Cohort.from_path(table, columns={"path": "file"}, label_column="dx")
    assert (cohort.classes, cohort.ordered) == (("0", "0.5"), True)
    with pytest.raises(ConfigError, match=r"'lable' is not a column.*'label'"):
        Cohort.from_path(table, columns={"path": "file", "lable": "dx"})
    with pytest.raises(DataError, match="has no column 'diagnosis' for label"):
        Cohort.from_path(table, columns={"path": "file"}, label_column="diagnosis")
    with pytest.raises(DataError, match="--columns path=…"):
        Cohort.from_path(table)
    with pytest.raises(ConfigError, match="name one"):
        Cohort.from_path(table, columns={"label": "a"}, label_column="b")


def test_an_age_that_was_capped_for_privacy_is_its_cap(paint, tmp_path) -> None:
    for name in "abc":
        paint(f"{name}.png")
    rows = "path,label,age\na.png,CN,89+\nb.png,AD, 90+ \nc.png,AD,71.5\n"
    cohort = Cohort.from_path(write_table(tmp_path / "data", rows))
    assert cohort.table["age"].tolist() == [89, 90, 71.5]
    for age in ("+", "89++", "131+", "8.9+", "-89+"):
        table = write_table(tmp_path / "data", rows.replace("89+", age))
        with pytest.raises(ManifestError, match="years"):
            Cohort.from_path(table)


def test_every_fault_of_a_table_is_listed_with_its_line(paint, tmp_path) -> None:
    paint("a.png")
    table = write_table(
        tmp_path / "data",
        "path,label,age,split\n"
        "../a.png,CN,70,train\n"
        "/etc/passwd,CN,70,train\n"
        ",CN,70,train\n"
        "a.png,AD,700,train\n"
        "a.png,AD,old,dev\n",
    )
    with pytest.raises(ManifestError) as caught:
        Cohort.from_path(table)
    faults = caught.value.faults
    assert [fault.split("line ")[1][0] for fault in faults] == list("234566")
    assert "leads upwards" in faults[0]
    assert "lies elsewhere" in faults[1]
    assert "0 to 130 years" in faults[3]
    assert "'dev'; train, val or test is needed" in "\n".join(faults)


def test_a_path_listed_twice_is_refused(paint, tmp_path) -> None:
    paint("a.png")
    table = write_table(tmp_path / "data", "path,label\na.png,CN\na.png,AD\n")
    with pytest.raises(DataError, match=r"line 3: 'a.png' stands in line 2 already"):
        Cohort.from_path(table)


def test_absolute_and_windows_paths_below_the_table_are_understood(
    paint, tmp_path
) -> None:
    first, _ = paint("x/a.png"), paint("x/b.png")
    table = write_table(tmp_path / "data", f"path,label\n{first},CN\nx\\b.png,AD\n")
    assert Cohort.from_path(table).table["path"].tolist() == ["x/a.png", "x/b.png"]


def test_few_missing_files_are_left_out_and_many_stop(paint, tmp_path) -> None:
    rows = [f"{n}.png,{'CN' if n % 2 else 'AD'}" for n in range(40)]
    for n in range(40):
        paint(f"{n}.png")
    table = write_table(tmp_path / "data", "\n".join(["path,label", *rows]))
    (tmp_path / "data" / "7.png").unlink()
    cohort = Cohort.from_path(table)
    assert len(cohort) == 39
    assert cohort.problems == (f"{table}: line 9: '7.png' does not exist",)
    for n in (8, 9):
        (tmp_path / "data" / f"{n}.png").unlink()
    with pytest.raises(DataError, match="3 of 40 scans cannot be used") as caught:
        Cohort.from_path(table)
    assert len(caught.value.faults) == 4


def test_scans_without_a_label_are_left_out_or_kept_but_never_a_class(
    paint, tmp_path
) -> None:
    cells = ["CN", "AD", "", "n/a", "NaN", "None"]
    rows = [f"{n}.png,{cell}" for n, cell in enumerate(cells)]
    for n in range(len(cells)):
        paint(f"{n}.png")
    table = write_table(tmp_path / "data", "\n".join(["path,label", *rows]))
    cohort = Cohort.from_path(table)
    assert (len(cohort), cohort.classes) == (2, ("CN", "AD"))
    assert "4 scans have no label and were left out" in cohort.notes
    kept = Cohort.from_path(table, keep_unlabelled=True)
    assert kept.labels().tolist() == [0, 1, -1, -1, -1, -1]


def test_labels_can_be_renamed_and_merged(classes) -> None:
    cohort = Cohort.from_path(classes, label_map={"MCI": "any", "AD": "any"})
    assert cohort.classes == ("CN", "any")
    assert np.bincount(cohort.labels()).tolist() == [3, 6]
    with pytest.raises(ConfigError, match="no scan has 'MIC'; did you mean 'MCI'"):
        Cohort.from_path(classes, label_map={"MIC": "CN"})


def test_classes_can_be_told(classes) -> None:
    cohort = Cohort.from_path(classes, classes=["AD", "CN", "MCI", "LMCI"])
    assert (cohort.classes[0], cohort.ordered) == ("AD", False)
    assert "no scan has the label LMCI" in cohort.notes
    with pytest.raises(DataError, match="'MCI', which is not among the classes"):
        Cohort.from_path(classes, classes=["AD", "CN"])
    alphabet = Cohort.from_path(classes).reordered(["AD", "CN", "MCI"])
    assert alphabet.labels()[0] == 0
    with pytest.raises(ConfigError, match="the cohort's are needed"):
        alphabet.reordered(["AD", "CN"])


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["AD/a.png"], "found one class only ('AD'); two classes are needed"),
        (["AD/a.png", "ad/b.png", "CN/c.png"], "'AD' and 'ad' differ only by case"),
        (["A D/a.png", "A_D/b.png", "CN/c.png"], "'A D' and 'A_D' differ only by"),
        (
            ["train/CN/a.png", "train/AD/b.png", "test/CN/c.png", "test/MCI/d.png"],
            "test has class 'MCI', which train lacks",
        ),
        (
            ["train/CN/a.png", "train/AD/b.png", "test/CN/c.png"],
            "train has class 'AD', which test lacks",
        ),
        (
            ["train/CN/a.png", "train/AD/b.png", "test/CN/c.png", "test/Ad/d.png"],
            "'AD' and 'Ad' differ only by case",
        ),
    ],
)
def test_classes_that_cannot_be_right_are_refused(
    paint, tmp_path, names, fault
) -> None:
    for name in names:
        paint(name)
    with pytest.raises(DataError) as caught:
        Cohort.from_path(tmp_path / "data")
    assert fault in "\n".join(caught.value.faults)


def test_a_missing_folder_and_a_file_are_refused(paint, tmp_path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        Cohort.from_path(tmp_path / "none")
    with pytest.raises(DataError, match="is a picture"):
        Cohort.from_path(paint("a.png"))
    with pytest.raises(DataError, match="found no class folders"):
        Cohort.from_path(tmp_path / "data")


def test_one_picture_with_two_labels_is_refused_naming_both(paint, tmp_path) -> None:
    first = paint("CN/a.png")
    paint("AD/b.png")
    (tmp_path / "data" / "AD" / "copy.png").write_bytes(first.read_bytes())
    with pytest.raises(DataError, match=r"AD/copy.png \(AD\), CN/a.png \(CN\)"):
        Cohort.from_path(tmp_path / "data")


def test_repeats_that_a_split_could_part_are_left_out(paint, tmp_path) -> None:
    for part in ("train", "test"):
        for label in ("CN", "AD"):
            paint(f"{part}/{label}/a.png")
    root = tmp_path / "data"
    content = (root / "train/CN/a.png").read_bytes()
    (root / "train/CN/b.png").write_bytes(content)
    (root / "test/CN/b.png").write_bytes(content)
    cohort = Cohort.from_path(root)
    # Across train and test it is a leak, which the leak check has to tell.
    assert "train/CN/b.png" not in list(cohort.table["path"])
    assert "test/CN/b.png" in list(cohort.table["path"])
    assert any("1 pictures that repeat another" in note for note in cohort.notes)


def test_an_audit_gets_the_scans_as_they_are_with_the_faults_as_notes(
    paint, tmp_path
) -> None:
    first = paint("train/CN/a.png")
    for name in ("train/AD/b.png", "test/CN/c.png", "test/MCI/d.png"):
        paint(name)
    root = tmp_path / "data"
    for name in ("train/CN/again.png", "train/AD/copy.png"):
        (root / name).write_bytes(first.read_bytes())
    with pytest.raises(DataError):
        Cohort.from_path(root)
    cohort = Cohort.from_path(root, as_found=True)
    assert len(cohort) == 6
    assert any("test has class 'MCI', which train lacks" in n for n in cohort.notes)


def test_a_table_of_people_told_by_their_images_says_so(paint, tmp_path) -> None:
    for name in ("CN/1.png", "AD/3.png"):
        paint(name)
    table = write_table(
        tmp_path,
        "path\tparticipant_id\tslice\tconfidence\n"
        "CN/1.png\tperson-0001\t1\t0.9\nAD/3.png\tp2\tn/a\tn/a\n",
        name="who.tsv",
    )
    cohort = Cohort.from_path(tmp_path / "data", participants=table)
    assert cohort.table["participant_source"].tolist() == ["table", "image-content"]
    assert cohort.participants_known


def test_participants_are_joined_by_path(paint, tmp_path) -> None:
    for name in ("CN/1.png", "CN/2.png", "AD/3.png"):
        paint(name)
    root = tmp_path / "data"
    table = write_table(
        tmp_path,
        "path,subject,class,age\nCN/1.png,p1,CN,70\nCN/2.png,p1,CN,70\n"
        "AD/3.png,p2,AD,80\nAD/4.png,p3,AD,81\n",
    )
    cohort = Cohort.from_path(
        root,
        participants=table,
        columns={"participant_id": "subject", "label": "class"},
    )
    assert cohort.table["participant_id"].tolist() == ["p2", "p1", "p1"]
    assert cohort.table["age"].tolist() == [80, 70, 70]
    assert "1 rows of table.csv name no scan that is here" in cohort.notes
    with pytest.raises(DataError, match="has no column 'participant_id'"):
        Cohort.from_path(root, participants=table)


def test_a_participants_table_that_does_not_fit_is_refused(paint, tmp_path) -> None:
    for name in ("CN/1.png", "AD/3.png"):
        paint(name)
    root = tmp_path / "data"
    mapping = {"participant_id": "subject", "label": "class"}
    lacking = write_table(tmp_path, "path,subject,class\nCN/1.png,p1,CN\n")
    with pytest.raises(DataError, match=r"no row for 1 of 2 scans \(AD/3.png\)"):
        Cohort.from_path(root, participants=lacking, columns=mapping)
    other = write_table(
        tmp_path, "path,subject,class\nCN/1.png,p1,AD\nAD/3.png,p2,AD\n"
    )
    with pytest.raises(DataError, match=r"1 labels .*CN/1.png is 'CN' by"):
        Cohort.from_path(root, participants=other, columns=mapping)
    with pytest.raises(ConfigError, match="has no table"):
        Cohort.from_path(root, label_column="class")


def test_a_label_column_is_believed_instead_of_the_folders(paint, tmp_path) -> None:
    for name in ("x/1.png", "x/2.png"):
        paint(name)
    table = write_table(
        tmp_path, "path,participant_id,cdr\nx/1.png,p1,0\nx/2.png,p2,0.5\n"
    )
    cohort = Cohort.from_path(
        tmp_path / "data",
        participants=table,
        label_column="cdr",
        label_map={"0": "CN", "0.5": "very mild"},
    )
    assert cohort.classes == ("CN", "very mild")


def test_a_participant_with_two_labels_is_told(paint, tmp_path) -> None:
    for name in ("CN/sub-1_a.png", "AD/sub-1_b.png", "AD/sub-2.png"):
        paint(name)
    notes = Cohort.from_path(tmp_path / "data").notes
    assert "1 participants have more than one label (sub-1)" in notes


def test_unknown_participants_are_told_and_cannot_be_units(paint, tmp_path) -> None:
    for name in ("CN/1.png", "CN/sub-2.png", "AD/3.png"):
        paint(name)
    cohort = Cohort.from_path(tmp_path / "data")
    assert not cohort.participants_known
    assert "the participant of 2 of 3 scans is unknown" in cohort.notes
    with pytest.raises(DataError, match="2 of 3 scans is unknown"):
        cohort.unit_ids("participant")
    ids = cohort.unit_ids("image")
    assert len(set(ids)) == 3
    assert all(one.startswith("image-") and len(one) == 22 for one in ids)
    with pytest.raises(ValueError, match="participant or image"):
        cohort.unit_ids("slice")


def test_selecting_takes_masks_and_places(classes) -> None:
    cohort = Cohort.from_path(classes)
    mask = cohort.labels() == 0
    by_mask, by_place = cohort.select(mask), cohort.select(np.flatnonzero(mask))
    pd.testing.assert_frame_equal(by_mask.table, by_place.table)
    assert len(by_mask) == 3
    assert by_mask.classes == cohort.classes
    assert len(cohort.select([])) == 0


def test_the_fingerprint_hangs_on_paths_people_and_labels_only(classes) -> None:
    cohort = Cohort.from_path(classes)
    backwards = cohort.select(np.arange(len(cohort))[::-1])
    assert backwards.fingerprint == cohort.fingerprint
    assert cohort.reordered(["AD", "CN", "MCI"]).fingerprint == cohort.fingerprint
    assert cohort.select([0, 1]).fingerprint != cohort.fingerprint
    merged = Cohort.from_path(classes, label_map={"MCI": "CN"})
    assert merged.fingerprint != cohort.fingerprint


def test_few_bad_scans_are_left_out_and_listed(paint, tmp_path) -> None:
    for n in range(40):
        paint(f"{'CN' if n % 2 else 'AD'}/{n:02}.png")
    cohort = Cohort.from_path(tmp_path / "data")
    assert cohort.without({}) is cohort
    left = cohort.without({"CN/01.png": "CN/01.png: empty"})
    assert len(left) == 39
    assert left.problems == ("CN/01.png: empty",)
    again = left.without({"AD/02.png": "AD/02.png: cut off"})
    assert len(again.problems) == 2
    with pytest.raises(DataError, match=r"3 of 40 scans cannot be used \(7.5 %\)"):
        again.without({"CN/03.png": "CN/03.png: empty"})


def test_losing_a_class_stops_even_if_it_is_small(paint, tmp_path) -> None:
    for n in range(60):
        paint(f"train/{'CN' if n % 2 else 'AD'}/{n:02}.png")
    for label in ("CN", "AD", "MCI"):
        for n in range(2):
            paint(f"test/{label}/{n}.png")
    paint("train/MCI/x.png")
    cohort = Cohort.from_path(tmp_path / "data")
    with pytest.raises(DataError, match="left of class 'MCI' in train") as caught:
        cohort.without({"train/MCI/x.png": "train/MCI/x.png: empty"})
    assert caught.value.faults[-1] == "train/MCI/x.png: empty"


def test_the_real_three_plane_table_gives_148_participants(
    shared_data, tmp_path
) -> None:
    source = (shared_data / "oasis1_3plane" / "images.csv").read_text()
    (tmp_path / "images.csv").write_text(source)
    for number, line in enumerate(source.splitlines()[1:]):
        path = tmp_path / line.split(",")[0]
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(number))  # nothing is decoded
    columns = {"participant_id": "subject", "session_id": "session"}
    cohort = Cohort.from_path(
        tmp_path / "images.csv", columns=columns, label_column="label_repo"
    )
    assert cohort.classes == ("nondemented", "demented")
    assert cohort.table["participant_id"].nunique() == 148
    assert cohort.table["age"].notna().all()
