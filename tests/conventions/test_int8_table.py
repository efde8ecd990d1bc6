"""What 8-bit numbers change stands in a table, and the page says what it says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pandas as pd
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_says_what_the_table_says_and_ratios_are_those_of_the_speeds() -> None:
    table = pd.read_csv(DOCS / "tables" / "int8.tsv", sep="\t")
    made = runpy.run_path(str(DOCS / "tables" / "int8.py"))
    page = (DOCS / "how-to" / "export.md").read_text(encoding="utf-8")
    assert made["page_of"](table) in page
    for way in ("fp32", "bf16", "onnx"):
        by_medians = table.int8_per_s / table[f"{way}_per_s"]
        assert table[f"ratio_to_{way}"].tolist() == pytest.approx(
            by_medians.tolist(), rel=0.1
        )
    assert (table.rounds >= 10).all()
    assert (table.auroc_int8 - table.auroc).abs().max() <= 0.02
