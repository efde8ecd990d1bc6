"""The published table of quality control keeps what it promises."""

from __future__ import annotations

import runpy
from pathlib import Path

import pandas as pd
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    file = DOCS / "tables" / "quality.tsv"
    return pd.read_csv(file, sep="\t", keep_default_na=False)


def test_the_page_says_what_the_table_says(table) -> None:
    made = runpy.run_path(str(DOCS / "tables" / "quality.py"))
    page = (DOCS / "how-to" / "prepare.md").read_text(encoding="utf-8")
    assert made["page_of"](table) in page


def test_bad_scans_are_refused_and_few_of_the_good_ones(table) -> None:
    bad, good = table[table.should == "fail"], table[table.should == "usable"]
    assert len(bad) > 20
    assert (bad.fail == bad.number).all()
    others = good[good.group == "registered"]
    assert others.fail.sum() <= 0.03 * others.number.sum()
    assert (good[good.group != "registered"].fail == 0).all()


def test_no_badly_registered_volume_passes_without_a_word(table) -> None:
    laid = table[table.should == "warn or fail"]
    assert len(laid) == 21
    assert (laid["pass"] == 0).all()
    assert laid[laid.scans.str.startswith("sub-OAS10254")].fail.all()
