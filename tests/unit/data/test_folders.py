from __future__ import annotations

import os

import pytest

from vit_dementia.data.folders import list_folders
from vit_dementia.errors import DataError
from vit_dementia.limits import Limits


def test_class_folders_are_listed_with_everything_below_them(paint, tmp_path) -> None:
    for name in ("CN/b.png", "CN/deep/er/a.PNG", "AD/x.jpeg", "AD/y.tif"):
        paint(name)
    listed = list_folders(tmp_path / "data")
    assert listed.paths == ["AD/x.jpeg", "AD/y.tif", "CN/b.png", "CN/deep/er/a.PNG"]
    assert listed.labels == ["AD", "AD", "CN", "CN"]
    assert set(listed.splits) == {"n/a"}


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
def test_folders_of_a_split_give_the_part(paint, tmp_path, val) -> None:
    for part in ("train", "test", val):
        paint(f"{part}/CN/a.png")
        paint(f"{part}/AD/a.png")
    listed = list_folders(tmp_path / "data")
    assert sorted(set(listed.splits)) == ["test", "train", "val"]
    assert set(listed.labels) == {"CN", "AD"}


def test_clutter_is_ignored_and_counted(paint, tmp_path) -> None:
    paint("CN/a.png")
    paint("AD/a.png")
    root = tmp_path / "data"
    for name in ("CN/.DS_Store", "CN/._a.png", "CN/Thumbs.db", "AD/notes.txt"):
        (root / name).touch()
    (root / "__MACOSX").mkdir()
    (root / ".ipynb_checkpoints").mkdir()
    (root / ".ipynb_checkpoints" / "a.png").touch()
    listed = list_folders(root)
    assert listed.paths == ["AD/a.png", "CN/a.png"]
    assert listed.notes == [
        "6 entries that are not pictures were ignored (1 .txt, 5 clutter)"
    ]


def test_a_folder_around_the_classes_is_stepped_into(paint, tmp_path) -> None:
    paint("Combined Dataset/train/No Impairment/a.jpg")
    paint("Combined Dataset/test/No Impairment/a.jpg")
    listed = list_folders(tmp_path / "data")
    assert set(listed.splits) == {"train", "test"}
    assert listed.notes == ["the classes were found in 'Combined Dataset'"]


def test_a_single_class_is_not_taken_for_a_folder_around_classes(
    paint, tmp_path
) -> None:
    paint("AD/sub-01/a.png")
    paint("AD/sub-02/a.png")
    assert set(list_folders(tmp_path / "data").labels) == {"AD"}


def test_every_fault_of_the_folders_is_listed_at_once(paint, tmp_path) -> None:
    paint("train/CN/a.png")
    root = tmp_path / "data"
    for name in ("train/AD", "test", "Test", "valid", "validation"):
        (root / name).mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        list_folders(root)
    faults = "\n".join(caught.value.faults)
    assert "train/AD: the class holds no picture" in faults
    assert "both 'Test' and 'test' stand for test" in faults
    assert "both 'valid' and 'validation' stand for val" in faults
    assert "found no class folders" in faults


def test_pictures_and_folders_outside_classes_are_told(paint, tmp_path) -> None:
    for name in ("train/CN/a.png", "train/AD/a.png", "train/x.png", "other/y.png"):
        paint(name)
    notes = "\n".join(list_folders(tmp_path / "data").notes)
    assert "1 pictures directly in 'train' were ignored" in notes
    assert "1 folders beside train and test were ignored: 'other'" in notes


def test_links_are_followed_once_and_loops_end(paint, tmp_path) -> None:
    paint("CN/a.png")
    paint("AD/a.png")
    root, outside = tmp_path / "data", tmp_path / "outside"
    outside.mkdir()
    (root / "CN" / "a.png").rename(outside / "far.png")
    (root / "CN" / "far").symlink_to(outside)
    (root / "CN" / "loop").symlink_to(root / "CN")
    (root / "AD" / "up").symlink_to(root)
    listed = list_folders(root)
    assert listed.paths == ["AD/a.png", "CN/far/far.png"]
    assert "2 links to a folder" in listed.notes[0]


def test_a_link_to_itself_is_one_picture_that_cannot_be_read(paint, tmp_path) -> None:
    paint("CN/a.png")
    paint("AD/a.png")
    (tmp_path / "data" / "CN" / "self.png").symlink_to("self.png")
    listed = list_folders(tmp_path / "data")
    assert listed.paths == ["AD/a.png", "CN/a.png", "CN/self.png"]


def test_what_is_named_like_a_picture_is_left_for_the_reader_to_refuse(
    paint, tmp_path
) -> None:
    paint("CN/a.png")
    paint("AD/a.png")
    (tmp_path / "data" / "CN" / "dangling.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "data" / "CN" / "pipe.png")
    assert len(list_folders(tmp_path / "data").paths) == 4


def test_names_that_are_not_utf8_are_problems_and_odd_ones_are_not(
    paint, tmp_path
) -> None:
    odd = [
        "a b.png",
        "ä.png",
        "a\u0308.png",
        "😀.png",
        "-rf.png",
        "=1+1.png",
        "a\nb.png",
    ]
    for name in odd:
        paint(f"CN/{name}")
    paint("AD/a.png")
    good = tmp_path / "data" / "AD" / "a.png"
    bad = os.path.join(os.fsencode(good.parent), b"\xff.png")  # noqa: PTH118 - bytes
    with open(bad, "wb") as file:  # noqa: PTH123 - bytes
        file.write(good.read_bytes())
    listed = list_folders(tmp_path / "data")
    assert sorted(listed.paths) == sorted(["AD/a.png", *(f"CN/{n}" for n in odd)])
    assert listed.problems == ["AD/\\udcff.png: its name is not UTF-8; rename it"]


def test_a_locked_folder_is_a_fault(paint, tmp_path, monkeypatch) -> None:
    paint("CN/a.png")
    paint("AD/a.png")
    really = os.scandir

    def locked(folder):
        if str(folder).endswith("AD"):
            raise PermissionError(13, "Permission denied")
        return really(folder)

    monkeypatch.setattr("vit_dementia.data.folders.os.scandir", locked)
    with pytest.raises(DataError, match=r"AD: cannot be opened \(Permission denied\)"):
        list_folders(tmp_path / "data")


def test_a_walk_is_bounded(paint, tmp_path) -> None:
    for number in range(4):
        paint(f"CN/{number}.png")
    paint("AD/" + "d/" * 4 + "a.png")
    with pytest.raises(DataError, match="more than 3 entries"):
        list_folders(tmp_path / "data", limits=Limits(entries=3))
    with pytest.raises(DataError, match="more than 2 folders deep"):
        list_folders(tmp_path / "data", limits=Limits(depth=2))
