from __future__ import annotations

import numpy as np

from vit_dementia.workflows.check_pictures import show_pairs, show_people

THUMBNAILS = np.repeat(np.arange(60, dtype=np.uint8), 4).reshape(60, 2, 2)


def rows_of(shown) -> list[int]:
    return shown.thumbnails[:, 0, 0].tolist()


def test_a_pair_is_shown_with_the_training_side_at_the_left() -> None:
    roles = ["test", "train"] * 30
    (shown,) = show_pairs(THUMBNAILS, [(0, 1, "0.99 alike")], roles)
    assert rows_of(shown) == [1, 0]
    assert shown.roles == ("train", "test")
    assert shown.caption == "0.99 alike"


def test_only_the_worst_pairs_are_shown() -> None:
    pairs = [(row, row + 1, "alike") for row in range(40)]
    assert len(show_pairs(THUMBNAILS, pairs, ["train"] * 60)) == 12


def test_the_least_sure_and_the_surest_people_are_shown_in_order_of_slices() -> None:
    ids = [f"p{row // 6}" for row in range(60)]
    slices = np.tile(np.arange(6)[::-1], 10)
    confidence = np.repeat(np.linspace(0.5, 0.95, 10), 6)
    shown = show_people(THUMBNAILS, ids, slices, confidence, ["train"] * 60)
    assert [rows_of(one)[0] for one in shown] == [5, 11, 53, 59]
    assert rows_of(shown[0]) == [5, 4, 3, 2, 1, 0]
    assert "6 slices as of one person, confidence 0.50" in shown[0].caption


def test_those_on_both_sides_are_shown_before_others() -> None:
    ids = [f"p{row // 6}" for row in range(60)]
    roles = ["train"] * 60
    roles[20] = "test"
    slices, confidence = np.full(60, -1), np.full(60, np.nan)
    (shown,) = show_people(THUMBNAILS, ids, slices, confidence, roles)
    assert rows_of(shown) == [18, 19, 20, 21, 22, 23]


def test_of_many_slices_some_are_shown_from_first_to_last() -> None:
    slices = np.arange(60)
    (shown,) = show_people(THUMBNAILS, ["p"] * 60, slices, np.ones(60), ["train"] * 60)
    rows = rows_of(shown)
    assert len(rows) == 10
    assert (rows[0], rows[-1]) == (0, 59)


def test_people_of_one_slice_make_no_row() -> None:
    ids = [f"p{row}" for row in range(60)]
    nobody = show_people(THUMBNAILS, ids, np.full(60, -1), np.ones(60), ["train"] * 60)
    assert nobody == ()
