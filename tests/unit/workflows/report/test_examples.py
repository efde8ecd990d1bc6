"""Examples are what they are called, and are found again in the table."""

from __future__ import annotations

import base64
import io

import numpy as np
import pandas as pd
from PIL import Image

from vit_dementia.workflows.report.examples import (
    MOST,
    choose_examples,
    lines_of,
    middle_scans,
    thumbnails,
)


def test_examples_are_what_they_are_called(cohort, told_of) -> None:
    told = told_of(cohort).by_participant()
    chosen = choose_examples(told)
    rows = [one["row"] for one in chosen]
    assert len(set(rows)) == len(rows)
    assert {one["kind"] for one in chosen} == {"right", "wrong", "unsure"}
    ranked = np.sort(told.probabilities, axis=1)
    lead = ranked[:, -1] - ranked[:, -2]
    for one in chosen:
        assert (one["label"] == one["predicted"]) or one["kind"] != "right"
        assert (one["label"] != one["predicted"]) or one["kind"] != "wrong"
    unsure = [one["row"] for one in chosen if one["kind"] == "unsure"]
    assert sorted(lead[unsure]) == sorted(lead)[: len(unsure)]
    for kind in ("right", "wrong"):
        leads = [lead[one["row"]] for one in chosen if one["kind"] == kind]
        assert leads == sorted(leads, reverse=True)
        assert len(leads) <= MOST


def test_an_example_stands_in_the_line_that_is_said(cohort, told_of, tmp_path):
    images = told_of(cohort)
    images.table.loc[images.table.participant_id == "id-03", "label"] = "n/a"
    images.by_participant().write(tmp_path / "people.tsv")
    written = pd.read_csv(tmp_path / "people.tsv", sep="\t", keep_default_na=False)
    told = images.labeled().by_participant()
    lines = lines_of(told, images)
    for one in choose_examples(told):
        row = written.iloc[lines[one["row"]] - 2]
        assert row.participant_id == told.table.participant_id[one["row"]]
        assert row.label == one["label"]


def test_nobody_without_a_label_is_an_example(cohort, told_of) -> None:
    images = told_of(cohort)
    images.table["label"] = "n/a"
    assert choose_examples(images) == []


def test_a_thumbnail_shows_the_scan_in_the_middle(
    cohort, told_of, slices_of_people
) -> None:
    images = told_of(cohort)
    told = images.by_participant()
    paths = middle_scans(told, images)
    assert paths[4] == "images/who-04_1.png"  # the second of two
    assert middle_scans(images, images) == images.table.path.tolist()
    (address,) = thumbnails(slices_of_people, paths[:1])
    kind, _, content = address.partition(",")
    assert kind == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (24, 32)
