from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vit_dementia.audit.pictures import Pictures, look_at
from vit_dementia.audit.shortcuts import SHORTCUTS, Shortcut, find_shortcuts
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.phantoms import make_phantoms
from vit_dementia.data.storage import frame

SCANS = 4  # of each person


def seen(*, people: int, classes: int = 2, seed: int = 0) -> Pictures:
    """Return facts drawn alike for everybody, as if they had been seen."""
    rng = np.random.default_rng(seed)
    label = np.arange(people) % classes
    whose = np.repeat(np.arange(people), SCANS)
    names = tuple(f"class-{k}" for k in range(classes))
    own = rng.normal(size=(people, 10))

    def near(column: int) -> np.ndarray:
        return own[whose, column] + rng.normal(size=len(whose)) / 5

    table = frame(
        {
            "path": [f"{row}.png" for row in range(len(whose))],
            "participant_id": [f"p{person}" for person in whose],
            "label": [names[label[person]] for person in whose],
            "age": [f"{70 + 5 * own[person, 9]:.1f}" for person in whose],
            "sex": ["FM"[int(own[person, 8] > 0)] for person in whose],
        }
    )
    facts = {
        "bytes": np.rint(5000 + 300 * near(0)),
        "format": ["PNG"] * len(whose),
        "mode": ["L"] * len(whose),
        "bits": [8] * len(whose),
        "jpeg_quality": [np.nan] * len(whose),
        "height": [96] * len(whose),
        "width": [80] * len(whose),
        "border_mean": near(1),
        "background_level": near(2),
        "mean_intensity": near(3),
        "head_area": near(4),
        "head_height": near(5),
        "head_width": near(6),
        "head_row": near(7),
        "head_column": near(7) + near(6),
        "head_roundness": near(5) - near(4),
    }
    cohort = Cohort(root=Path(), table=table, classes=names, ordered=True)
    return Pictures(
        cohort=cohort,
        thumbnails=np.zeros((len(whose), 2, 2), np.uint8),
        digests=tuple(map(str, range(len(whose)))),
        facts=pd.DataFrame(facts),
        problems=(),
    )


def found(pictures: Pictures) -> dict[str, Shortcut]:
    ids = pictures.cohort.table["participant_id"].tolist()
    return {one.name: one for one in find_shortcuts(pictures, ids)}


def flagged(pictures: Pictures) -> set[str]:
    return {name for name, shortcut in found(pictures).items() if shortcut.flag}


def last_class(pictures: Pictures) -> np.ndarray:
    return pictures.cohort.labels() == len(pictures.cohort.classes) - 1


def _set(pictures: Pictures, **columns: object) -> None:
    """Let the last class alone have other facts."""
    mine = last_class(pictures)
    for name, value in columns.items():
        pictures.facts[name] = np.where(mine, value, pictures.facts[name])


PLANTED: dict[str, Callable[[Pictures], None]] = {
    "border": lambda p: _set(p, border_mean=p.facts["border_mean"] + 5),
    "background": lambda p: _set(p, background_level=p.facts["background_level"] - 5),
    "mean intensity": lambda p: _set(p, mean_intensity=p.facts["mean_intensity"] + 5),
    "file size": lambda p: _set(p, bytes=p.facts["bytes"] - 2000),
    "file format": lambda p: _set(p, format="JPEG"),
    "image size": lambda p: _set(p, height=100),
    "head shape": lambda p: _set(p, head_row=p.facts["head_row"] + 6),
}


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_shortcut_is_found_and_no_other(name, classes) -> None:
    pictures = seen(people=60, classes=classes)
    PLANTED[name](pictures)
    assert flagged(pictures) == {name}


def test_older_people_in_one_class_are_found() -> None:
    pictures = seen(people=60)
    pictures.cohort.table["age"] += 10.0 * last_class(pictures)
    assert flagged(pictures) == {"age"}


@pytest.mark.parametrize("column", ["sex", "site"])
def test_a_class_of_one_sex_or_site_is_found(column) -> None:
    pictures = seen(people=60, classes=3)
    table = pictures.cohort.table
    values = np.where(last_class(pictures), "M", "F")
    table[column] = pd.Series(values, dtype=object)
    assert column in flagged(pictures)


def test_jpeg_quality_that_differs_by_class_is_found() -> None:
    pictures = seen(people=40)
    pictures.facts["jpeg_quality"] = np.where(last_class(pictures), 75.0, 90.0)
    assert "JPEG quality" in flagged(pictures)


def test_the_comparison_that_is_told_best_is_named() -> None:
    pictures = seen(people=60, classes=3)
    PLANTED["border"](pictures)
    assert found(pictures)["border"].comparison == "class-2 against all others"
    assert found(pictures)["border"].auroc == 1.0


@pytest.mark.slow
def test_of_forty_cohorts_without_a_shortcut_at_most_two_are_flagged() -> None:
    cohorts = [
        seen(people=people, classes=classes, seed=10 * people + classes)
        for people in (12, 16, 20, 24, 32, 40, 50, 60, 80, 100)
        for classes in (2, 3, 4, 2)
    ]
    assert sum(bool(flagged(pictures)) for pictures in cohorts) <= 2


def test_everything_is_listed_and_the_unknown_is_null() -> None:
    pictures = seen(people=20)
    pictures.cohort.table["age"] = np.nan
    answers = found(pictures)
    assert list(answers) == list(SHORTCUTS)
    assert answers["age"].auroc is answers["age"].low is answers["age"].high is None
    assert answers["age"].comparison == "unknown"
    assert answers["site"].auroc is None
    assert answers["JPEG quality"].auroc is None
    same = answers["file format"]
    assert (same.auroc, same.low, same.flag) == (0.5, 0.5, False)
    assert same.comparison == "the same in everybody"


def test_too_few_people_are_said_to_be_too_few() -> None:
    pictures = seen(people=8)
    PLANTED["border"](pictures)
    answer = found(pictures)["border"]
    assert answer.auroc is None
    assert not answer.flag
    assert answer.comparison.startswith("too few")


def test_scans_of_one_person_do_not_count_as_many_people() -> None:
    pictures = seen(people=10)
    PLANTED["border"](pictures)
    everybody_alone = [str(row) for row in range(len(pictures))]
    by_scan = {s.name: s for s in find_shortcuts(pictures, everybody_alone)}
    assert by_scan["border"].flag
    assert not found(pictures)["border"].flag


def test_scans_without_a_label_do_not_count() -> None:
    pictures = seen(people=40)
    before = found(pictures)
    extra = seen(people=44)
    extra.cohort.table.loc[len(pictures) :, "label"] = "n/a"
    extra.facts.loc[: len(pictures) - 1] = pictures.facts
    extra.cohort.table.loc[: len(pictures) - 1] = pictures.cohort.table
    assert found(extra) == before


@pytest.mark.slow
def test_phantoms_have_no_shortcut(phantoms) -> None:
    assert flagged(look_at(Cohort.from_path(phantoms))) == set()


def test_a_brighter_border_of_one_class_of_phantoms_is_found(phantoms, tmp_path):
    _plant(phantoms / "images", tmp_path, lambda image: _framed(image, 20))
    pictures = look_at(Cohort.from_path(tmp_path))
    assert flagged(pictures) == {"border"}


def test_one_class_of_phantoms_in_another_size_is_found(phantoms, tmp_path) -> None:
    def larger(image: Image.Image) -> Image.Image:
        return image.resize((image.width + 8, image.height + 10))

    _plant(phantoms / "images", tmp_path, larger)
    assert "image size" in flagged(look_at(Cohort.from_path(tmp_path)))


@pytest.mark.slow
def test_of_forty_phantom_cohorts_at_most_two_are_flagged(tmp_path) -> None:
    num_flagged = 0
    for number in range(40):
        folder = make_phantoms(
            tmp_path / str(number),
            participants=(12, 20, 40, 60)[number % 4],
            classes=2 + number % 3,
            whole_head=number % 8 >= 4,
            slices=4,
            seed=number,
        )
        num_flagged += bool(flagged(look_at(Cohort.from_path(folder))))
    assert num_flagged <= 2


def _plant(source, target, change) -> None:
    for file in sorted(source.rglob("*.png")):
        out = target / file.parent.name / file.name
        out.parent.mkdir(exist_ok=True)
        image = Image.open(file)
        (change(image) if file.parent.name == "VeryMildDemented" else image).save(out)


def _framed(image: Image.Image, brighter: int) -> Image.Image:
    values = np.array(image).astype(int)
    frame_only = np.ones(values.shape, dtype=bool)
    frame_only[2:-2, 2:-2] = False
    values[frame_only] += brighter
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
