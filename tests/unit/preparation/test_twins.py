"""Pictures that look the same to the network must not have two labels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vit_dementia.data.cohort import Cohort
from vit_dementia.errors import DataError
from vit_dementia.preparation.twins import refuse_two_labels


@pytest.fixture
def cohort(tmp_path):
    """Return four scans, two of each class, all different."""
    for number in range(4):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        Image.new("L", (8, 8), 10 + number).save(folder / f"sub-{number}.png")
    return Cohort.from_path(tmp_path)


def test_different_pictures_pass_and_so_do_twins_of_one_label(cohort) -> None:
    images = np.random.default_rng(0).integers(0, 255, (4, 1, 8, 8), np.uint8)
    refuse_two_labels(cohort, images)
    same = [row for row in range(4) if cohort.table["label"].iloc[row] == "a"]
    images[same[1]] = images[same[0]]
    refuse_two_labels(cohort, images)


def test_twins_of_two_labels_are_both_named(cohort) -> None:
    images = np.random.default_rng(0).integers(0, 255, (4, 1, 8, 8), np.uint8)
    labels = cohort.table["label"]
    one, other = (int(np.flatnonzero(labels == name)[0]) for name in "ab")
    images[other] = images[one]
    with pytest.raises(DataError, match="two labels") as told:
        refuse_two_labels(cohort, images)
    for row in (one, other):
        assert cohort.table["path"].iloc[row] in str(told.value)


def test_an_unlabelled_twin_says_nothing(cohort) -> None:
    images = np.zeros((4, 1, 8, 8), np.uint8)
    cohort.table.loc[cohort.table["label"] == "b", "label"] = "n/a"
    refuse_two_labels(cohort, images)
