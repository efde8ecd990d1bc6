from __future__ import annotations

import pytest
from tests.unit.workflows.checks import made_check

from vit_dementia.audit.price import Price, Scores
from vit_dementia.workflows import check_words as words
from vit_dementia.workflows.check_record import HowGrouped, LeakCounts


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "16 of 16 test images show somebody who is in train"),
        ({"leaks": LeakCounts(0, 0, 16, 2, 0)}, "2 of 16 test images have a copy"),
        ({"leaks": LeakCounts(0, 0, 9, 0, 2)}, "2 of 9 test images have the next"),
        ({"leaks": LeakCounts(2, 0, 9, 0, 0)}, "2 participants stand on both sides"),
        ({"leaks": LeakCounts(0, 0, 9, 0, 0)}, "nobody and nothing in test stands"),
        ({"leaks": None}, "the scans bring no split"),
        ({"leaks": None, "participants": None}, "cannot be told with certainty"),
    ],
)
def test_the_headline_gives_the_gravest_reason(changes, said) -> None:
    assert said in words.headline(made_check(**changes))


def test_people_are_counted_with_the_error_of_telling_them_apart() -> None:
    assert words.people(made_check()).startswith(
        "72 images of 9 people, told apart by the images themselves (estimated error "
        "1.2 %"
    )
    assert words.people(made_check(participants=None)).startswith("72 images; ")


def test_the_price_is_said_in_points_of_the_model_that_gains_most() -> None:
    price = made_check().price
    assert "scores 19 points more on this split" in words.price_sentence(price)
    same = Scores(given=0.5, random_images=0.51, by_participant=0.5)
    fair = Price(
        accuracy={"a": same}, balanced_accuracy={}, num_learned=1, num_scored=1
    )
    assert words.price_sentence(fair).startswith("No quick model gains")
    none = Scores(given=None, random_images=0.5, by_participant=None)
    unknown = Price(
        accuracy={"a": none}, balanced_accuracy={}, num_learned=1, num_scored=1
    )
    assert words.price_sentence(unknown) is None
    assert words.price_rows(unknown) == [("a", ["-", "0.500", "-"])]


def test_the_steps_lead_from_a_leak_to_a_clean_split() -> None:
    commands = [command for _, command in words.steps(made_check(price=None), "d")]
    assert commands == [
        "vit-dementia check d --write-participants who.tsv",
        "vit-dementia split d --participants who.tsv",
        "vit-dementia check d --participants who.tsv --split split.json",
        "vit-dementia check d --participants who.tsv --price",
    ]
    given = {"grouping": HowGrouped(None), "price": None}
    for source, flag in (("table", " --participants who.tsv"), ("bids", "")):
        known = words.steps(made_check(participant_source=source, **given), "d")
        assert known[0][1] == f"vit-dementia split d{flag}"
    unknown = words.steps(made_check(participants=None, leaks=None), "d")
    assert "name the participants in a table" in unknown[0][0]


def test_troubles_are_counted_by_kind_without_a_path() -> None:
    rows = dict(words.trouble_rows(made_check()))
    assert rows == {
        "unreadable": "1",
        "two people": "1",
        "groups of images with the same pixels": "1",
        "groups of near-copies": "1",
        "images with two labels": "1",
    }
