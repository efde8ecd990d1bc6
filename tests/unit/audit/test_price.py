from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vit_dementia.audit import price as room
from vit_dementia.audit.pictures import Pictures, look_at
from vit_dementia.audit.price import (
    draw_tests,
    linear_probe,
    majority_class,
    nearest_neighbor,
    price,
)
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.storage import frame

SCANS = 8  # of each person


def people(*, count: int = 40, told: float = 0.0, seed: int = 0) -> Pictures:
    """Return pictures of people who look like nobody else, whatever their class.

    Args:
        told: by how much the second class is brighter in one corner.
    """
    rng = np.random.default_rng(seed)
    whose = np.repeat(np.arange(count), SCANS)
    faces = rng.uniform(80, 170, (count, 96, 96))
    faces[1::2, :12, :12] += told
    noise = rng.normal(0, 10, (len(whose), 96, 96))
    labels = ["b" if person % 2 else "a" for person in whose]
    table = frame(
        {
            "path": [f"{row:04d}.png" for row in range(len(whose))],
            "participant_id": [f"p{person}" for person in whose],
            "label": labels,
        }
    )
    return Pictures(
        cohort=Cohort(root=Path(), table=table, classes=("a", "b"), ordered=False),
        thumbnails=np.clip(faces[whose] + noise, 0, 255).astype(np.uint8),
        digests=tuple(table["path"]),
        facts=pd.DataFrame(index=range(len(whose))),
        problems=(),
    )


def ids_of(pictures: Pictures) -> list[str]:
    return pictures.cohort.table["participant_id"].tolist()


def test_a_leak_of_people_has_its_price() -> None:
    pictures = people()
    roles = ["test" if row % SCANS == 0 else "train" for row in range(len(pictures))]
    found = price(pictures, roles, ids_of(pictures))
    for name in ("nearest neighbor", "linear probe"):
        scores = found.accuracy[name]
        assert scores.given > 0.95
        assert scores.random_images > 0.95
        assert scores.by_participant < 0.75
    assert found.accuracy["majority class"].given == 0.5
    assert (found.num_learned, found.num_scored) == (280, 40)


def test_what_tells_the_class_of_new_people_is_no_leak() -> None:
    pictures = people(told=60.0)
    scores = price(pictures, None, ids_of(pictures)).accuracy["linear probe"]
    assert scores.given is None
    assert scores.by_participant > 0.95


def test_without_participants_there_is_no_split_by_them() -> None:
    found = price(people(count=10), None, None)
    for scores in found.accuracy.values():
        assert scores.by_participant is None
        assert scores.random_images is not None


def test_one_person_cannot_be_divided() -> None:
    found = price(people(count=10), None, ["one"] * 80)
    assert found.accuracy["nearest neighbor"].by_participant is None


def test_val_is_scored_where_nothing_is_in_test() -> None:
    pictures = people(count=10)
    roles = ["val" if row < 16 else "train" for row in range(80)]
    found = price(pictures, roles, ids_of(pictures))
    assert found.num_scored == 16
    assert found.accuracy["majority class"].given == 0.5


def test_a_split_that_scores_nobody_has_no_score() -> None:
    found = price(people(count=10), ["train"] * 80, None)
    assert found.accuracy["majority class"].given is None
    assert found.accuracy["majority class"].random_images == 0.5


def test_nothing_labelled_has_no_price() -> None:
    pictures = people(count=2)
    pictures.cohort.table["label"] = "n/a"
    found = price(pictures, None, ids_of(pictures))
    assert found.accuracy["nearest neighbor"].random_images is None


def test_no_more_images_are_used_than_are_allowed(monkeypatch) -> None:
    monkeypatch.setattr(room, "MOST_LEARNED", 30)
    monkeypatch.setattr(room, "MOST_SCORED", 10)
    found = price(people(count=10), None, None)
    assert (found.num_learned, found.num_scored) == (30, 10)


def test_the_same_seed_gives_the_same_price() -> None:
    pictures = people(count=10)
    assert price(pictures, None, ids_of(pictures), seed=3) == price(
        pictures, None, ids_of(pictures), seed=3
    )


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)), min_size=2, max_size=30),
    st.integers(0, 2**32 - 1),
)
def test_draws_divide_nobody_and_miss_the_size_by_less_than_a_person(persons, seed):
    whose = np.repeat(np.arange(len(persons)), [scans for scans, _ in persons])
    labels = np.repeat([label for _, label in persons], [scans for scans, _ in persons])
    num_test = max(1, len(whose) // 5)
    rng = np.random.default_rng(seed)
    for test in draw_tests(whose, labels, num_test=num_test, rng=rng):
        assert not set(whose[test]) & set(whose[~test])
        assert test.any()
        assert abs(int(test.sum()) - num_test) < max(scans for scans, _ in persons)


def test_five_draws_of_a_fifth_score_everybody_once() -> None:
    whose = np.repeat(np.arange(40), 3)
    labels = np.repeat(np.arange(40) % 4, 3)
    rng = np.random.default_rng(0)
    tests = draw_tests(whose, labels, num_test=24, rng=rng)
    assert (np.sum(tests, axis=0) == 1).all()
    for test in tests:
        assert np.bincount(labels[test]).tolist() == [6, 6, 6, 6]


def test_quick_models_know_what_they_have_seen() -> None:
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(30, 50)).astype(np.float32)
    labels = np.arange(30) % 3
    np.testing.assert_array_equal(nearest_neighbor(seen, labels, seen), labels)
    np.testing.assert_array_equal(linear_probe(seen, labels, seen), labels)
    one_class = np.full(30, 2)
    np.testing.assert_array_equal(linear_probe(seen, one_class, seen), one_class)
    assert (majority_class(seen, np.minimum(labels, 1), seen) == 1).all()


@pytest.mark.slow
def test_the_price_of_the_published_split_is_the_known_one(shared_data, tmp_path):
    source = shared_data / "kaggle_alzheimer_4class"
    with tarfile.open(source / "kaggle4_dev.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    root = next(path.parent for path in tmp_path.rglob("train"))
    cohort = Cohort.from_path(root)
    truth = pd.read_csv(source / "slices.csv").set_index("path")["subject"]
    ids = truth.loc[cohort.table["path"]].astype(str).tolist()
    found = price(look_at(cohort), cohort.table["split"].tolist(), ids)
    scores = found.accuracy["nearest neighbor"]
    assert scores.given == pytest.approx(0.71, abs=0.03)
    assert scores.random_images > 0.99
    assert scores.by_participant == pytest.approx(0.50, abs=0.05)
