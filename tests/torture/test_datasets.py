"""Every data-set row of the catalog of bad inputs, by its name."""

from __future__ import annotations

import json
import os
import shutil

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from tests.integration.conftest import CLASSES, TINY, paint_cohort
from tests.unit.serving.served import head

pytestmark = pytest.mark.torture
HEALTHY, ILL = CLASSES


def train(command, data, *, check: int):
    return command("train", data, *TINY, "--epochs=0", "--out=run", check=check)


def first(folder):
    return sorted(folder.rglob("*.png"))[0]


def missing(root):
    shutil.rmtree(root)


def a_file(root):
    missing(root)
    root.write_text("a file")


def empty(root):
    missing(root)
    root.mkdir()


def no_classes(root):
    for path in list(root.rglob("*.png")):
        path.rename(root / path.name)
    for name in CLASSES:
        (root / name).rmdir()


def empty_class(root):
    (root / "Empty").mkdir()


def class_without_pictures(root):
    (root / "Words").mkdir()
    (root / "Words" / "notes.txt").write_text("no picture")


def one_class(root):
    shutil.rmtree(root / ILL)


def same_bytes_in_two_classes(root):
    shutil.copy(first(root / ILL), root / HEALTHY / "sub-900_slice-0.png")


def same_pixels_in_two_classes(root):
    with Image.open(first(root / ILL)) as image:
        image.save(root / HEALTHY / "sub-900_slice-0.bmp")


def classes_that_differ_by_case(root):
    shutil.copytree(root / ILL, root / ILL.lower())
    for path in (root / ILL).iterdir():
        path.rename(path.with_name(path.name.replace("sub-0", "sub-7")))


def classes_that_differ_by_a_space(root):
    other = root / "Mild Demented"
    other.mkdir()
    Image.fromarray(np.eye(24, dtype=np.uint8) * 200).save(other / "sub-801.png")


def most_broken(root):
    for path in sorted(root.rglob("*.png"))[::3]:
        path.write_bytes(path.read_bytes()[:50])


def class_all_broken(root):
    (root / "Rare").mkdir()
    (root / "Rare" / "sub-901.png").write_bytes(b"")


def formula_for_a_class(root):
    (root / ILL).rename(root / "=1+1")


# Row of the catalog: what is done to a good folder, and what the refusal names.
REFUSED = {
    "ds-missing": (missing, "does not exist"),
    "ds-a-file": (a_file, "data"),
    "ds-empty": (empty, "no class folders"),
    "ds-no-classes": (no_classes, "no class folders"),
    "ds-empty-class": (empty_class, "Empty"),
    "ds-class-without-pictures": (class_without_pictures, "Words"),
    "ds-one-class": (one_class, HEALTHY),
    "ds-two-labels": (same_bytes_in_two_classes, "two labels"),
    "ds-two-labels-pixels": (same_pixels_in_two_classes, "two labels"),
    "ds-class-case": (classes_that_differ_by_case, ILL.lower()),
    "ds-class-space": (classes_that_differ_by_a_space, "Mild Demented"),
    "ds-class-formula": (formula_for_a_class, "=1+1"),
    "ds-most-broken": (most_broken, "cannot be used"),
    "ds-class-all-broken": (class_all_broken, "Rare"),
}


@pytest.mark.parametrize("row", REFUSED)
def test_a_folder_that_is_wrong_is_refused_by_name_and_leaves_nothing(
    command, tmp_path, row
) -> None:
    harm, named = REFUSED[row]
    data = paint_cohort(tmp_path / "data", people=24)
    harm(data)
    done = train(command, data, check=2)
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("row", ["ds-two-labels", "ds-two-labels-pixels"])
def test_both_places_of_a_picture_with_two_labels_are_named(
    command, tmp_path, row
) -> None:
    data = paint_cohort(tmp_path / "data", people=24)
    REFUSED[row][0](data)
    told = train(command, data, check=2).stderr
    assert first(data / ILL).name in told
    assert "sub-900_slice-0" in told


@pytest.mark.parametrize(
    "row", ["ds-class-missing-in-test", "ds-class-missing-in-train"]
)
def test_a_class_that_one_side_lacks_is_named_and_never_matched_by_its_place(
    command, tmp_path, row
) -> None:
    data = paint_cohort(tmp_path / "data", people=24, parts=("train", "test"))
    side = row.rpartition("-")[2]
    (data / side / ILL).rename(data / side / "Other")
    told = train(command, data, check=2).stderr
    assert "Other" in told
    assert ILL in told


def same_subject(data):
    person = first(data / "train" / ILL)
    shutil.copy(first(data / "test" / ILL), data / "test" / ILL / f"{person.name}")


def named_by_number(data):
    """Take away what tells who is on a picture."""
    for number, path in enumerate(sorted(data.rglob("*.png"))):
        path.rename(path.with_name(f"{number}.png"))


@pytest.mark.parametrize("row", ["ds-leak-bytes", "ds-leak-near", "ds-leak-subject"])
def test_a_leak_stops_a_training_with_its_count(command, tmp_path, row) -> None:
    data = paint_cohort(tmp_path / "data", people=24, parts=("train", "test"))
    if row == "ds-leak-subject":
        same_subject(data)
    else:
        named_by_number(data)
        for number, path in enumerate(sorted((data / "train" / ILL).iterdir())):
            copy = data / "test" / ILL / f"copy-{number}.png"
            shutil.copy(path, copy)
            if row == "ds-leak-near":  # the same picture, squeezed once more
                with Image.open(copy) as image:
                    image.save(copy.with_suffix(".jpg"), quality=90)
                copy.unlink()
    done = train(command, data, check=3)
    assert any(c.isdigit() for c in done.stderr.partition("leak")[2])
    assert not (tmp_path / "run").exists()


def one_image_class(root):
    (root / "Rare").mkdir()
    Image.fromarray(np.eye(24, dtype=np.uint8) * 200).save(root / "Rare/sub-900.png")


def imbalanced(root):
    for path in sorted((root / ILL).iterdir())[2:]:
        path.unlink()
    more = paint_cohort(root.with_name("more"), people=120, slices=1)
    for number, path in enumerate(sorted((more / HEALTHY).iterdir())):
        path.rename(root / HEALTHY / f"sub-{600 + number}.png")


@pytest.mark.parametrize(
    ("row", "harm"),
    [("ds-one-image-class", one_image_class), ("ds-imbalanced", imbalanced)],
)
def test_a_class_of_very_few_is_warned_of(command, tmp_path, row, harm) -> None:
    data = paint_cohort(tmp_path / "data", people=24)
    harm(data)
    done = command("check", data, "--out=found", check=0)
    rare = "Rare" if row == "ds-one-image-class" else ILL
    assert f"class {rare!r} has" in done.stderr


def clutter(root):
    (root / ".DS_Store").write_bytes(b"\0")
    (root / HEALTHY / "Thumbs.db").write_bytes(b"\0")
    (root / HEALTHY / "._sub-000_slice-0.png").write_bytes(b"\0")
    (root / "__MACOSX" / HEALTHY).mkdir(parents=True)
    (root / HEALTHY / ".ipynb_checkpoints").mkdir()
    (root / HEALTHY / "desktop.ini").write_text("[x]")


def nested(root):
    for path in list((root / ILL).iterdir()):
        deeper = path.parent / "a" / "b"
        deeper.mkdir(parents=True, exist_ok=True)
        path.rename(deeper / path.name)


def mixed_sizes(root):
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        with Image.open(path) as image:
            image.resize((24 + number, 32 + number)).save(path)


def twins_by_case(root):
    for path in sorted((root / ILL).iterdir())[:2]:
        twin = path.with_name(path.name.upper())
        if twin.exists():
            pytest.skip("this file system does not tell case")
        Image.open(path).rotate(4).save(twin)


def some_broken(root):
    first(root).write_bytes(first(root).read_bytes()[:50])


def link_loop(root):
    (root / ILL / "loop").symlink_to(root / ILL, target_is_directory=True)


def link_out(root):
    aside = root.with_name("elsewhere")
    shutil.copytree(root / ILL, aside)
    for path in aside.iterdir():
        path.rename(path.with_name(path.name.replace("sub-0", "sub-7")))
        Image.open(aside / path.name.replace("sub-0", "sub-7")).rotate(3).save(
            aside / path.name.replace("sub-0", "sub-7")
        )
    (root / ILL / "more").symlink_to(aside, target_is_directory=True)


def link_to_itself(root):
    (root / ILL / "sub-901_slice-0.png").symlink_to("sub-901_slice-0.png")


# Row of the catalog: what is done to a good folder, and what is told of it.
ACCEPTED = {
    "ds-clutter": (clutter, "ignored"),
    "ds-nested": (nested, "48 scans"),
    "ds-mixed-sizes": (mixed_sizes, "48 scans"),
    "ds-case-collision": (twins_by_case, "50 scans"),
    "ds-some-broken": (some_broken, "sub-001_slice-0.png"),
    "ds-link-loop": (link_loop, "48 scans"),
    "ds-link-out": (link_out, "72 scans"),
    "ds-link-self": (link_to_itself, "sub-901_slice-0.png: cannot be opened"),
}


@pytest.mark.parametrize("row", ACCEPTED)
def test_a_folder_that_is_only_untidy_is_read_and_what_was_passed_by_is_told(
    command, tmp_path, row
) -> None:
    harm, told = ACCEPTED[row]
    data = paint_cohort(tmp_path / "data", people=24)
    harm(data)
    assert told in train(command, data, check=0).stderr


# row ds-folder-not-utf8
def test_a_participant_whose_folder_is_no_utf8_is_told_in_every_file(
    command, tmp_path
) -> None:
    data = tmp_path / "data"
    for who in range(4):
        anat = data / f"sub-{who}" / "anat"
        anat.mkdir(parents=True)
        image = nib.Nifti1Image(head() + 9.0 * who, np.diag([4.4, 4.4, 4.4, 1]))
        image.to_filename(anat / f"sub-{who}_T1w.nii")
    rows = [f"sub-{who}\t{('CN', 'AD')[who % 2]}" for who in range(4)]
    table = "\n".join(["participant_id\tdiagnosis", *rows, ""])
    (data / "participants.tsv").write_text(table)
    try:
        (data / "sub-3").rename(data / os.fsdecode(b"sub-\xff"))
    except OSError:
        pytest.skip("this file system takes no such name")
    done = command("check", data, "--out=told")
    document = (tmp_path / "told/check.json").read_text("utf-8")
    assert "sub-\\udcff" in document
    assert "sub-\udcff" in json.dumps(json.loads(document), ensure_ascii=False)
    listed = [line for line in done.stderr.splitlines() if "not UTF-8" in line]
    assert [line.split(": ")[0].strip() for line in listed] == [
        "sub-\\udcff/anat/sub-3_T1w.nii"
    ]


def test_a_locked_folder_is_refused(command, tmp_path) -> None:
    data = paint_cohort(tmp_path / "data", people=24)
    (data / ILL).chmod(0)
    try:
        if os.access(data / ILL, os.R_OK):
            pytest.skip("this user reads everything")
        assert ILL in train(command, data, check=2).stderr
    finally:
        (data / ILL).chmod(0o755)


@pytest.mark.parametrize("row", ["ds-missing", "ds-a-file", "ds-empty", "ds-one-class"])
@pytest.mark.parametrize("verb", ["check", "split", "evaluate", "cross-validate"])
def test_every_verb_that_reads_a_folder_refuses_it_alike(
    trained, command, tmp_path, row, verb
) -> None:
    if (row, verb) in {("ds-one-class", "check"), ("ds-one-class", "evaluate")}:
        pytest.skip("an audit and an external test can do with one class")
    data = paint_cohort(tmp_path / "data", people=24)
    REFUSED[row][0](data)
    words = {"evaluate": ["evaluate", trained / "run", data]}.get(verb, [verb, data])
    out = [] if verb == "evaluate" else ["--out=told"]
    done = command(*words, *out, check=2)
    assert "data" in done.stderr
    assert not (tmp_path / "told").exists()
