"""Tables from any tool, however small or odd: never NaN, and why what is undefined."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vit_dementia.workflows.evaluate_table import evaluate_table
from vit_dementia.workflows.report import curves, figures

CLASSES = ("NonDemented", "VeryMildDemented", "MildDemented")
# A report with its words stands on no picture: drawing them takes most of the time.
NO_PICTURE = (b"", b"")


def scored(table, **asked):
    """Return metrics, report and page of a table; JSON with NaN is refused."""

    def refuse(constant):
        raise AssertionError(f"{constant} in a file")

    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        for module in (curves, figures):
            patch.setattr(module, "saved", lambda figure: NO_PICTURE)
        path, out = Path(place) / "table.tsv", Path(place) / "out"
        table.to_csv(path, sep="\t", index=False)
        evaluate_table(path, out=out, **asked)
        metrics, report = (
            json.loads((out / name).read_text("utf-8"), parse_constant=refuse)
            for name in ("metrics.json", "report.json")
        )
        return metrics, report, (out / "report.html").read_text("utf-8")


def table_of(labels, weights, *, people=None, sexes=None):
    """Return a table of answers in proportion to the weights."""
    told = np.asarray(weights, float)
    told /= told.sum(axis=1, keepdims=True)
    columns = {"label": [CLASSES[label] for label in labels]}
    columns |= {f"p_{name}": told[:, i] for i, name in enumerate(CLASSES)}
    if people is not None:
        columns["participant_id"] = [f"sub-{who:02}" for who in people]
    if sexes is not None:
        columns["sex"] = sexes
    return pd.DataFrame(columns)


def entries_in(value):
    """Yield every entry of metrics, however deep."""
    if isinstance(value, dict):
        if "value" in value:
            yield value
        for inner in value.values():
            yield from entries_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from entries_in(inner)


def check_words(metrics, report, page):
    for entry in entries_in(metrics):
        if entry["value"] is None:
            assert entry.get("undefined"), entry
        elif entry.get("low", 0) is None:
            assert entry["method"], entry
    unit = "participant" if metrics["by_participant"] else "image"
    auroc = metrics[f"by_{unit}"]["scores"]["auroc"]
    if auroc["value"] is None:
        (glance,) = [one for one in report["glance"] if "AUROC" in one["name"]]
        assert glance["said"] == "undefined"
        assert glance["more"] == auroc["undefined"]
        assert auroc["undefined"] in page
    assert not re.search(r"\bnan\b", json.dumps(report) + page, re.IGNORECASE)


@st.composite
def tables(draw):
    """Draw few rows, ties and certainties among them, of somebody or nobody."""
    row = st.tuples(
        st.integers(0, 2),
        st.tuples(*[st.integers(0, 2)] * 3).filter(any),
        st.integers(0, 4),
        st.sampled_from(["F", "M", "n/a"]),
    )
    rows = draw(st.lists(row, min_size=1, max_size=9))
    label_of = {who: label for label, _, who, _ in rows}  # one for each person
    known = draw(st.booleans())
    return table_of(
        [label_of[who] if known else label for label, _, who, _ in rows],
        [weights for _, weights, _, _ in rows],
        people=[who for _, _, who, _ in rows] if known else None,
        sexes=[sex for _, _, _, sex in rows] if draw(st.booleans()) else None,
    )


@settings(max_examples=5, deadline=None)
@given(tables())
def test_no_table_however_odd_gives_nan_or_leaves_out_why(table):
    check_words(*scored(table, prevalence=0.1))


SPREAD = [[3, 2, 1], [1, 2, 3], [2, 2, 2], [1, 4, 1], [2, 1, 3], [3, 1, 1]]


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (table_of([0] * 6, SPREAD, people=range(6)), "one class|no positive|positive"),
        (table_of([1, 2] * 3, SPREAD, people=range(6)), "negative|one class"),
        (table_of([1], [[1, 2, 3]], people=[0]), "."),
        (table_of([0, 0], [[1, 2, 3]] * 2, people=[0, 0]), "."),
    ],
    ids=["no condition", "nobody without", "one row", "one person"],
)
def test_auroc_without_two_sides_says_why(table, why):
    metrics, report, page = scored(table)
    check_words(metrics, report, page)
    auroc = metrics["by_participant"]["scores"]["auroc"]
    assert auroc["value"] is None
    assert re.search(why, auroc["undefined"])
    assert metrics["by_participant"]["chance"] is None


def test_constant_scores_rank_like_chance():
    labels = [0, 1, 2] * 4
    metrics, *rest = scored(table_of(labels, [[1, 1, 1]] * 12, people=range(12)))
    check_words(metrics, *rest)
    scores = metrics["by_participant"]["scores"]
    assert scores["auroc"]["value"] == 0.5
    assert metrics["by_participant"]["chance"]["p_value"] == 1
    assert metrics["by_participant"]["calibration"]["slope"]["value"] is None
