from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.storage import frame
from vit_dementia.preparation.pipeline import Pipeline
from vit_dementia.preparation.reference import reference
from vit_dementia.quality.verdict import Quality, Reason
from vit_dementia.workflows.prepare import Preparation, _in_company
from vit_dementia.workflows.prepare_files import (
    document,
    failure_table,
    quality_table,
    usable,
)
from vit_dementia.workflows.prepare_page import page
from vit_dementia.workflows.prepare_pictures import overlay
from vit_dementia.workflows.prepare_scan import Result

TURNED = Reason(code="orientation", verdict="fail", text="turned: <b>RAI</b>")
PICTURE = np.zeros((8, 24, 3), np.uint8)


def made_preparation(tmp_path) -> Preparation:
    """Return three scans: good, refused, unreadable."""
    paths = ["secret/a.nii", "secret/b.nii", "secret/c.nii"]
    table = frame({"path": paths, "label": ["CN", "AD", "CN"]})
    cohort = Cohort(root=tmp_path, table=table, classes=("CN", "AD"), ordered=True)
    good = Quality(measures={"likeness": 0.8})
    bad = Quality(reasons=(TURNED,), measures={"likeness": 0.2})
    results = (
        Result(outcome="prepared", quality=good, picture=PICTURE, seconds=3.0),
        Result(outcome="refused", quality=bad, picture=PICTURE),
        Result(outcome="failed", cause="cut off"),
    )
    return Preparation(
        cohort=cohort,
        pipeline=Pipeline(pipeline="none"),
        names=("sub-1/a", "sub-2/b", "sub-3/c"),
        results=results,
    )


@pytest.fixture
def made(tmp_path) -> Preparation:
    return made_preparation(tmp_path)


def test_the_page_shows_the_worst_first_and_names_no_file(made) -> None:
    html = page(made)
    assert html.index("scan 3") < html.index("scan 2") < html.index("scan 1")
    assert "secret" not in html
    assert "sub-" not in html
    assert "turned: &lt;b&gt;RAI" in html
    assert html.count("data:image/jpeg;base64,") == 2
    assert not re.search(r"https?://|<script|url\(", html)
    assert html.lower().count("research use only") >= 2


def test_tables_hold_every_scan_in_the_order_of_the_cohort(made) -> None:
    rows = [line.split("\t") for line in quality_table(made).splitlines()]
    assert rows[0][:4] == ["scan", "path", "outcome", "verdict"]
    assert [row[3] for row in rows[1:]] == ["pass", "fail", "n/a"]
    assert rows[3][rows[0].index("reasons")] == "cut off"
    assert rows[3][rows[0].index("likeness")] == "n/a"
    failures = [line.split("\t") for line in failure_table(made).splitlines()]
    assert [row[0] for row in failures[1:]] == ["2", "3"]


def test_only_usable_scans_are_in_the_cohort_with_their_labels(made, tmp_path) -> None:
    cohort = usable(tmp_path / "out", made)
    assert cohort.table.path.tolist() == ["sub-1/a"]
    assert cohort.table.label.tolist() == ["CN"]
    assert cohort.problems == (
        "secret/b.nii: turned: <b>RAI</b>",
        "secret/c.nii: cut off",
    )


def test_the_document_counts_and_names_nobody(made) -> None:
    told = document(made)
    assert told["counts"] == {
        "prepared": 1, "kept": 0, "refused": 1, "failed": 1,
        "pass": 1, "warn": 0, "fail": 1,
    }  # fmt: skip
    assert "secret" not in str(told)


def test_repeats_and_strangers_are_told_beside_the_others() -> None:
    rng = np.random.default_rng(0)
    brain = rng.normal(size=4000)
    rows = [brain + 0.3 * rng.normal(size=4000) for _ in range(14)]
    rows[5] = rows[2].copy()
    rows[9] = np.roll(rows[9], 7)
    results = [
        Result(outcome="prepared", quality=Quality(), row=row.astype(np.float32))
        for row in rows
    ]
    results.append(Result(outcome="failed", cause="cut off"))
    told = [
        () if one.quality is None else tuple(r.code for r in one.quality.reasons)
        for one in _in_company(results)
    ]
    assert told[5] == ("repeat",)
    assert told[9] == ("unusual",)
    assert sum(map(len, told)) == 2


def test_the_same_bytes_are_a_repeat_even_if_nothing_could_be_seen() -> None:
    results = [
        Result(outcome="refused", quality=Quality(), content="abc") for _ in range(2)
    ]
    told = _in_company(results)
    assert told[0].quality.reasons == ()
    assert told[1].quality.reasons[0].text == "shows the same as scan 1"


def test_a_picture_shows_the_scan_and_both_outlines() -> None:
    there = reference(None)
    picture = overlay(900 * there.intensity, there)
    assert picture.shape[0] == 104
    colors = {tuple(color) for color in np.unique(picture.reshape(-1, 3), axis=0)}
    assert {(255, 196, 0), (0, 210, 255), (0, 0, 0)} <= colors
    gray = (picture == picture[..., :1]).all(axis=2)
    assert pd.Series(picture[gray][:, 0]).nunique() > 100
