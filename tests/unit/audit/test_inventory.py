from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vit_dementia.audit.inventory import ClassCount, Inventory, take_inventory
from vit_dementia.audit.pictures import Pictures, look_at
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.storage import frame


def seen(**columns: list[object]) -> Pictures:
    """Return four scans of two people, as if they had been seen."""
    table = frame(
        {
            "path": ["a.png", "b.png", "c.png", "d.png"],
            "participant_id": ["p1", "p1", "p2", "p2"],
            "label": ["CN", "CN", "AD", "AD"],
            "age": ["60", "62", "80", "80"],
            "sex": ["F", "F", "M", "M"],
        }
    )
    facts = {
        "format": ["PNG"] * 4,
        "mode": ["L"] * 4,
        "bits": [8] * 4,
        "height": [96] * 4,
        "width": [80] * 4,
        "head_area": [0.4] * 4,
    }
    cohort = Cohort(root=Path(), table=table, classes=("CN", "AD"), ordered=True)
    return Pictures(
        cohort=cohort,
        thumbnails=np.arange(16, dtype=np.uint8).reshape(4, 2, 2),
        digests=("1", "2", "3", "4"),
        facts=pd.DataFrame(facts | columns),
        problems=(),
    )


def inventory(pictures: Pictures) -> Inventory:
    return take_inventory(pictures, pictures.cohort.table["participant_id"].tolist())


def test_files_and_classes_are_counted() -> None:
    found = inventory(seen(height=[96, 96, 96, 90]))
    assert found.formats == {"PNG": 4}
    assert found.modes == {"L": 4}
    assert found.bits == {"8": 4}
    assert list(found.sizes.items()) == [("96 x 80", 3), ("90 x 80", 1)]
    assert found.classes == {
        "CN": ClassCount(images=2, participants=1),
        "AD": ClassCount(images=2, participants=1),
    }


def test_people_are_counted_once() -> None:
    found = inventory(seen()).people["CN"]
    assert (found.num_ages, found.age_mean, found.age_sd) == (1, 61.0, None)
    assert found.sexes == {"F": 1}
    assert found.sites == {}


def test_unknown_participants_are_unknown() -> None:
    found = take_inventory(seen(), None)
    assert found.classes["CN"] == ClassCount(images=2, participants=None)


def test_no_ages_give_no_mean() -> None:
    pictures = seen()
    pictures.cohort.table["age"] = np.nan
    found = inventory(pictures).people["AD"]
    assert (found.num_ages, found.age_mean, found.age_lowest) == (0, None, None)


def test_one_picture_in_two_classes_is_a_conflict_and_within_one_a_repeat(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (40, 40)).astype(np.uint8) for _ in range(4)]
    for name, number in [
        ("CN/a.png", 0), ("CN/b.bmp", 0), ("CN/c.png", 1),
        ("AD/d.png", 1), ("AD/e.png", 2), ("AD/f.png", 3),
    ]:  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pictures[number]).save(tmp_path / name)
    with Image.open(tmp_path / "AD/d.png") as image:
        image.save(tmp_path / "AD/d.png", compress_level=0)  # other bytes, same pixels
    found = take_inventory(look_at(Cohort.from_path(tmp_path)), None)
    assert {frozenset(group) for group in found.exact_groups} == {
        frozenset({"CN/a.png", "CN/b.bmp"}),
        frozenset({"CN/c.png", "AD/d.png"}),
    }
    assert [set(group) for group in found.label_conflicts] == [{"CN/c.png", "AD/d.png"}]


def test_a_picture_without_label_is_in_no_conflict() -> None:
    pictures = seen()
    pictures.cohort.table.loc[0, "label"] = "n/a"
    twins = Pictures(
        cohort=pictures.cohort,
        thumbnails=pictures.thumbnails,
        digests=("1", "1", "1", "4"),
        facts=pictures.facts,
        problems=(),
    )
    found = inventory(twins)
    assert found.exact_groups == (("a.png", "b.png", "c.png"),)
    assert found.label_conflicts == (("a.png", "b.png", "c.png"),)
    pictures.cohort.table.loc[2, "label"] = "CN"
    assert inventory(twins).label_conflicts == ()


def test_files_to_look_at_are_named() -> None:
    pictures = seen(format=["PNG", "JPEG", "PNG", "PNG"], head_area=[0.4, 0.4, 0, 0.4])
    pictures.thumbnails[3] = 7
    found = {problem.path: problem.kind for problem in inventory(pictures).problems}
    assert found == {"b.png": "other format", "c.png": "no head", "d.png": "blank"}


@pytest.mark.parametrize(
    ("column", "rule", "exception", "kind"),
    [("mode", "L", "RGB", "odd pixels"), ("height", 96, 48, "odd size")],
)
def test_rare_exceptions_are_named_and_a_mixture_is_not(column, rule, exception, kind):
    table = frame(
        {"path": [f"{row}.png" for row in range(200)], "label": ["CN", "AD"] * 100}
    )
    few = seen()
    many = Pictures(
        cohort=Cohort(root=Path(), table=table, classes=("CN", "AD"), ordered=True),
        thumbnails=np.tile(few.thumbnails, (50, 1, 1)),
        digests=tuple(map(str, range(200))),
        facts=pd.concat([few.facts] * 50, ignore_index=True),
        problems=(),
    )
    many.facts[column] = [exception, *[rule] * 199]
    (problem,) = take_inventory(many, None).problems
    assert (problem.path, problem.kind) == ("0.png", kind)
    assert str(exception) in problem.detail
    many.facts[column] = [exception, rule] * 100
    assert take_inventory(many, None).problems == ()


def test_phantoms_hold_nothing_odd(phantoms) -> None:
    found = inventory(look_at(Cohort.from_path(phantoms)))
    assert found.problems == ()
    assert found.exact_groups == ()
    assert found.classes["NonDemented"] == ClassCount(images=24, participants=12)
