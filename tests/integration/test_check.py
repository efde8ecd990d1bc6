"""``vit-dementia check`` on phantoms with what is planted in them, and training."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import jsonschema
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.metrics import adjusted_rand_score
from tests.integration.conftest import CLASSES, TINY
from tests.unit.serving import served

from vit_dementia.data.phantoms import make_phantoms

PEOPLE, SLICES = 24, 8


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Return class folders of phantoms whose names say who is on them."""
    folder = tmp_path_factory.mktemp("made") / "phantoms"
    make_phantoms(folder, participants=PEOPLE, classes=2, seed=3, slices=SLICES)
    return folder


@pytest.fixture
def phantoms(made, tmp_path) -> Path:
    """Return a copy of their class folders that a test may change."""
    return Path(shutil.copytree(made / "images", tmp_path / "data"))


def parted(folder: Path, part_of) -> Path:
    """Move every scan into the part that ``part_of`` its name says."""
    out = folder.parent / "parted"
    for file in sorted(folder.rglob("*.png")):
        to = out / part_of(file.name) / file.parent.name / file.name
        to.parent.mkdir(parents=True, exist_ok=True)
        file.rename(to)
    return out


def paint_heads(root: Path, *, people: int = 16, slices: int = 8) -> dict[str, str]:
    """Write slices of discs with folds of their own, every fourth of a person in test.

    No name says whose it is. Return who is on each path.
    """
    rng, side = np.random.default_rng(0), 96
    rows, columns = np.mgrid[:side, :side] - side / 2
    shared = _folds(rng, slices, (3, 6, 6), side)  # alike in everybody at one height
    numbers = iter(rng.permutation(people * slices).tolist())
    who = {}
    for person in range(people):
        high, wide = rng.uniform(0.36, 0.44, 2) * side
        inside = (rows / high) ** 2 + (columns / wide) ** 2 < 1
        own = _folds(rng, slices, (2, 1.6, 1.6), side)
        for place in range(slices):
            part = "test" if place % 4 == 3 else "train"
            name = f"{part}/{CLASSES[person % 2]}/{next(numbers):04}.png"
            values = np.where(inside, 120 + 25 * own[place] + 20 * shared[place], 0)
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            pixels = np.clip(values, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name)
            who[name] = f"sub-{person:02}"
    return who


def _folds(rng, slices: int, width: tuple[float, ...], side: int) -> np.ndarray:
    noise = rng.normal(size=(slices + 8, side, side))
    smooth = ndimage.gaussian_filter(noise, width)[4:-4]
    return smooth / smooth.std()


def by_person(name: str) -> str:
    return "test" if int(name[4:8]) % 4 == 0 else "train"


@pytest.fixture
def check(command):
    """Return a function that checks a folder and returns the valid JSON document."""
    file = resources.files("vit_dementia.workflows").joinpath("check.schema.json")
    schema = json.loads(file.read_text(encoding="utf-8"))

    def call(*arguments, code: int = 0) -> dict:
        done = command("check", *arguments, "--json", check=code)
        document = json.loads(done.stdout)
        jsonschema.validate(document, schema)
        return document

    return call


def test_a_split_by_participant_is_clean(phantoms, check, tmp_path) -> None:
    data = parted(phantoms, by_person)
    found = check(data, "--out", tmp_path / "out")
    assert found["verdict"] == "clean"
    assert found["images"] == PEOPLE * SLICES
    assert found["participants"] == PEOPLE
    assert found["participant_source"] == "bids"
    assert found["problems"] == []
    assert found["duplicates"]["exact_groups"] == []
    assert found["leaks"]["test_images"] > 0
    assert not any(one["flag"] for one in found["shortcuts"])
    html = (tmp_path / "out" / "report.html").read_text()
    assert "Clean" in html
    assert "sub-" not in html
    assert str(tmp_path) not in html


def test_one_person_on_both_sides_is_found_by_id(phantoms, check) -> None:
    data = parted(phantoms, by_person)
    moved = next((data / "test").rglob("sub-*.png"))
    to = data / "train" / moved.parent.name / moved.name
    moved.rename(to)
    found = check(data, code=3)
    assert found["verdict"] == "leak"
    assert found["leaks"]["participants_shared"] == 1
    assert found["leaks"]["test_images_with_participant_in_train"] == SLICES - 1


def test_people_without_names_are_told_apart_and_the_way_leads_to_a_clean_split(
    check, command, tmp_path
) -> None:
    data = tmp_path / "heads"
    who = paint_heads(data)
    found = check(data, "--write-participants", "who.tsv", "--price", code=3)
    assert found["participant_source"] == "image-content"
    assert found["participants"] == 16
    assert found["grouping"]["estimated_error"] < 0.01
    leaks = found["leaks"]
    assert leaks["test_images_with_participant_in_train"] == leaks["test_images"] == 32
    assert set(found["price"]["models"]["nearest neighbor"]) == {
        "given",
        "random_images",
        "by_participant",
    }

    table = pd.read_csv("who.tsv", sep="\t")
    assert list(table) == ["path", "participant_id", "slice", "confidence"]
    truth = table["path"].map(who)
    assert adjusted_rand_score(table["participant_id"], truth) == 1.0

    refused = command("train", data, *TINY, "--epochs=0", "--out=run", check=3)
    assert "by their images, 32 of 32 test images" in refused.stderr
    assert "--write-participants" in refused.stderr
    assert not (tmp_path / "run").exists()

    known = ("--participants", "who.tsv")
    command("split", data, *known, "--out=split.json")
    clean = check(data, *known, "--split=split.json")
    assert clean["verdict"] == "clean"
    assert clean["participant_source"] == "image-content"
    command("train", data, *known, *TINY, "--epochs=0", "--split=split.json", "--out=r")


def test_a_leak_that_is_named_trains_is_told_and_is_looked_for_once(
    command, tmp_path, monkeypatch
) -> None:
    data = tmp_path / "heads"
    paint_heads(data, people=8)
    named = ("train", data, *TINY, "--epochs=0", "--allow-leakage=to see it")
    told = command(*named, "--out=run")
    assert "by their images, 16 of 16 test images" in told.stderr
    monkeypatch.setattr("vit_dementia.audit.pictures.look_at", None)
    again = command(*named, "--out=again")
    assert "by their images, 16 of 16 test images" in again.stderr


def test_repeats_conflicts_and_broken_files_are_listed_and_do_not_stop(
    phantoms, check
) -> None:
    first, second = sorted(path for path in phantoms.iterdir() if path.is_dir())
    one, other = sorted(first.glob("*.png"))[:2]
    pixels = np.asarray(Image.open(one))
    Image.fromarray(pixels).save(first / "sub-0001_again.bmp")  # the same pixels only
    shutil.copy(other, second / "sub-0002_copy.png")
    (first / "sub-0003_broken.png").write_bytes(b"nothing")
    found = check(phantoms)
    assert found["verdict"] == "clean"
    assert found["leaks"] is None
    assert len(found["duplicates"]["exact_groups"]) == 2
    (conflict,) = found["duplicates"]["label_conflicts"]
    assert sorted(Path(path).parent.name for path in conflict) == sorted(
        [first.name, second.name]
    )
    broken = [one for one in found["problems"] if one["kind"] == "unreadable"]
    assert [Path(one["path"]).name for one in broken] == ["sub-0003_broken.png"]


def test_a_brighter_border_in_one_class_is_flagged(phantoms, check) -> None:
    (_, second) = sorted(path for path in phantoms.iterdir() if path.is_dir())
    for file in second.glob("*.png"):
        pixels = np.array(Image.open(file))
        pixels[[0, -1]] = pixels[:, [0, -1]] = 60
        Image.fromarray(pixels).save(file)
    flagged = [one["name"] for one in check(phantoms)["shortcuts"] if one["flag"]]
    assert "border" in flagged


@pytest.mark.parametrize("kind", ["picture", "volume"])
def test_of_a_single_scan_it_is_told_that_nothing_can_be_compared(
    tmp_path, command, kind
) -> None:
    (tmp_path / "data" / "CN").mkdir(parents=True)
    if kind == "picture":
        Image.fromarray(served.picture()).save(tmp_path / "data/CN/a.png")
    else:
        image = nib.Nifti1Image(served.head(), np.diag([4.4, 4.4, 4.4, 1]))
        image.to_filename(tmp_path / "data/CN/a.nii")
    done = command("check", "data", "--out=told")
    assert "CANNOT TELL" in done.stderr
    assert "1 images; participants unknown" in done.stderr


def test_what_is_no_cohort_is_refused_with_code_2(tmp_path, command) -> None:
    done = command("check", tmp_path / "nowhere", "--json", check=2)
    assert json.loads(done.stdout)["error"]["exit_code"] == 2
    (tmp_path / "empty").mkdir()
    command("check", tmp_path / "empty", check=2)
    command("check", tmp_path / "empty", "--write-participants=who.txt", check=2)
