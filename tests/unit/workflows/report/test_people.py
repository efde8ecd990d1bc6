"""The table of people, where things are unknown or people have several classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vit_dementia.workflows.report.people import causes, people_table


def cells(cohort, **masks):
    masks = masks or {"all": np.ones(len(cohort), bool)}
    table = people_table(cohort, masks)
    return {row["name"]: row["cells"][0] for row in table["rows"]}


def changed(cohort, **columns):
    table = cohort.table.copy()
    for name, values in columns.items():
        table[name] = values
    return replace(cohort, table=table)


def test_what_nobody_knows_is_not_provided(cohort) -> None:
    silent = changed(cohort, age=np.nan, sex="n/a", site="n/a")
    found = cells(silent)
    assert found["age in years: mean (SD), range"] == "not provided"
    assert found["female"] == found["sites or scanners"] == "not provided"


def test_what_is_partly_known_says_of_how_many_it_is_not(cohort) -> None:
    first = cohort.table.participant_id == cohort.table.participant_id[0]
    found = cells(changed(cohort, age=cohort.table.age.mask(first)))
    assert found["age in years: mean (SD), range"].endswith("; 1 unknown")


def test_somebody_with_several_classes_is_in_none_of_them(cohort) -> None:
    label = cohort.table.label.copy()
    label[0] = "MildDemented"  # that person's other scan is NonDemented
    found = cells(changed(cohort, label=label))
    assert found["several classes"] == "1 (3%)"
    assert found["NonDemented"] == "9 (30%)"


def test_scans_are_counted_where_people_are_unknown(cohort) -> None:
    unknown = changed(cohort, participant_id="n/a")
    table = people_table(unknown, {"all": np.ones(len(cohort), bool)})
    assert table["counted"] == "scans"
    assert cells(unknown)["NonDemented"] == "20 (33%)"
    assert "participants" not in cells(unknown)


def test_an_empty_part_is_no_fault(cohort) -> None:
    found = cells(cohort, nobody=np.zeros(len(cohort), bool))
    assert found["participants"] == found["scans"] == "0"


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("a.png: damaged PNG file (bad)", "damaged file"),
        ("b/damaged.png: is empty (0 bytes)", "empty file"),
        ("line 3 of t.csv: 'x.png' does not exist", "file missing or not readable"),
        ("a.png: holds 3 pages; one slice in a file is needed", "more than one slice"),
        ("a.png: found text; a PNG, JPEG or BMP image is needed", "not an image"),
        ("a.png: something new", "other fault"),
        ("no colon at all", "other fault"),
    ],
)
def test_a_cause_is_said_without_its_path(line, cause) -> None:
    ((said, number),) = causes([line]).items()
    assert said.startswith(cause)
    assert number == 1
    assert ".png" not in said
