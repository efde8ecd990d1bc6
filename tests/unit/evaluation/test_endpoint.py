"""The two sides of a question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vit_dementia.errors import ConfigError
from vit_dementia.evaluation.endpoint import either, endpoint_of, positive_classes

CLASSES = ("CN", "very mild", "mild", "moderate")


@given(st.sets(st.sampled_from(CLASSES), min_size=1, max_size=3))
def test_the_sides_are_everybody_and_in_order(wanted):
    positive = positive_classes(CLASSES, list(wanted))
    found = endpoint_of(CLASSES, positive)
    assert set(found["positive"]) == wanted
    assert sorted(found["positive"] + found["negative"]) == sorted(CLASSES)
    for side in ("positive", "negative"):
        places = [CLASSES.index(name) for name in found[side]]
        assert places == sorted(places)


def test_every_wrong_name_is_listed():
    with pytest.raises(ConfigError) as caught:
        positive_classes(CLASSES, ["midl", "vary mild"])
    assert len(caught.value.faults) == 2
    assert "did you mean 'mild'?" in caught.value.faults[0]


@pytest.mark.parametrize(
    ("names", "words"),
    [(("A",), "A"), (("A", "B"), "A or B"), ("ABCD", "A, B, C or D")],
)
def test_names_are_joined_as_people_write_them(names, words):
    assert either(names) == words
