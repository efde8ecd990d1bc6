"""The published load test holds what is said of it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_the_server_keeps_what_the_documentation_says() -> None:
    table = pd.read_csv(DOCS / "tables" / "serving.tsv", sep="\t")
    assert table.clients.tolist() == [1, 8, 32, 320, 320]
    assert table.patience_s.tolist() == ["as told"] * 4 + ["0.2"]
    assert (table.lost == 0).all()
    assert (table.refused_503[:3] == 0).all()
    assert table.ratio[1] >= 0.8
    assert (table.peak_mib[3:] < 1.1 * table.peak_mib[2]).all()
    assert table.p99_ms[3] < 2 * table.p99_ms[2]
    page = (DOCS / "how-to" / "serve.md").read_text("utf-8")
    for row in table.itertuples():
        told = f"| {row.requests_per_s} | {row.ratio} |"
        assert f"| {row.clients} | {row.patience_s} {told}" in page
