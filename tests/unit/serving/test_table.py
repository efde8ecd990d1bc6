"""The published load test holds what is said of it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_the_server_keeps_what_the_documentation_says() -> None:
    table = pd.read_csv(DOCS / "tables" / "serving.tsv", sep="\t").set_index("clients")
    assert list(table.index) == [1, 8, 32, 320]
    assert (table.lost == 0).all()
    assert (table.refused_503[:-1] == 0).all()
    assert table.ratio[8] >= 0.8
    assert table.peak_mib[320] < 1.1 * table.peak_mib[32]
    assert table.p99_ms[320] < 2 * table.p99_ms[32]
    page = (DOCS / "how-to" / "serve.md").read_text("utf-8")
    for clients, row in table.iterrows():
        assert f"| {clients} | {row.requests_per_s} | {row.ratio} |" in page
