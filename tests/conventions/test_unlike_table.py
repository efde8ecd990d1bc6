"""The published rates of refusal stand beside each other and keep what they promise."""

from __future__ import annotations

import runpy
from pathlib import Path

import pandas as pd
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_csv(DOCS / "tables" / "unlike.tsv", sep="\t")


def test_the_page_says_what_the_table_says(table) -> None:
    made = runpy.run_path(str(DOCS / "tables" / "unlike.py"))
    page = (DOCS / "how-to" / "predict.md").read_text(encoding="utf-8")
    assert made["page_of"](table) in page


def test_other_pictures_are_refused_and_few_held_out_scans(table) -> None:
    held_out = table[table.scans == "held out"]
    assert (held_out.number > 500).all()
    assert (held_out.participants_refused <= 0.03 * held_out.participants).all()
    made = table[table.source == "phantoms"].set_index("scans")
    t2 = ["fluid bright, as in T2", "phantoms as T2 shows them", "negative"]
    assert (made.refused[t2] == made.number[t2]).all()
    real = table[table.source == "slices"].set_index("scans")
    others = [
        "photograph, a part of it", "chest, drawn as X-rays show it", "noise",
        "fluid bright, as in T2", "negative", "turned by 90°", "EPI of a head",
        "MR of a fruit", "T1, head with skull", "photograph of parrots, a part of it",
    ]  # fmt: skip
    assert (real.refused[others] == real.number[others]).all()
    assert real.refused["upside down"] >= 0.95 * real.number["upside down"]
