from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vit_dementia.data.classes import name_key, order_classes, severity

VOCABULARIES = [
    ("NonDemented", "VeryMildDemented", "MildDemented", "ModerateDemented"),
    ("Non_Demented", "Very_Mild_Demented", "Mild_Demented", "Moderate_Demented"),
    (
        "No Impairment",
        "Very Mild Impairment",
        "Mild Impairment",
        "Moderate Impairment",
    ),
    ("CN", "EMCI", "MCI", "LMCI", "AD"),
    ("Cognitively Normal", "SMC", "sMCI", "pMCI", "Alzheimer's Disease"),
    ("HC", "AD"),
    ("nondemented", "demented"),
    ("control", "Dementia"),
    ("Healthy Controls", "Mild Cognitive Impairment", "alzheimers disease"),
    ("CDR 0", "CDR 0.5", "CDR 1", "CDR 2", "CDR 3"),
    ("cdr_0", "cdr_0.5", "cdr_1"),
    ("0", "0.5", "1", "2"),
    ("0.0", "0.5", "1.0"),
]


@pytest.mark.parametrize("in_order", VOCABULARIES)
def test_every_known_vocabulary_comes_in_order_of_severity(in_order) -> None:
    assert order_classes(sorted(in_order)) == (in_order, True)
    assert order_classes(reversed(in_order)) == (in_order, True)


@pytest.mark.parametrize(
    "names",
    [
        ("CN", "tumor"),
        ("glioma", "meningioma"),
        ("AD", "mild"),  # AD may be any grade
        ("CN", "MCI", "very mild"),  # one place twice
        ("0", "1"),  # may be codes of anything
    ],
)
def test_names_that_do_not_tell_are_ordered_by_name(names) -> None:
    assert order_classes(reversed(names)) == (tuple(sorted(names)), False)


def test_numbers_are_ordered_as_numbers() -> None:
    assert order_classes(["10", "9", "2"])[0] == ("2", "9", "10")


def test_no_word_is_mistaken_for_its_opposite() -> None:
    assert severity("Non Demented") == 0
    assert severity("Demented") == 8
    assert severity("NoImpairment") == 0
    assert severity("Mild Cognitive Impairment") < severity("Mild Impairment")


@given(st.lists(st.text(max_size=8), max_size=6))
def test_ordering_loses_no_class_and_ignores_input_order(names) -> None:
    ordered, _ = order_classes(names)
    assert sorted(ordered) == sorted(set(names))
    assert order_classes(list(reversed(names)))[0] == ordered


@given(st.text(max_size=10))
def test_a_key_ignores_case_and_spaces(name) -> None:
    assert name_key(f" {name}_") == name_key(name)
