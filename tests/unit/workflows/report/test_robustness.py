"""Worsened scans are shown beside what they were, and beside the floor."""

from __future__ import annotations

import pytest

from vit_dementia.workflows.report.robustness import draw_robustness, robustness_table


def line(name, severity, value):
    entry = {
        "value": value,
        "low": value - 0.1,
        "high": value + 0.1,
        "method": "Wilson",
    }
    if value < 0:
        entry = {"value": None, "undefined": "nobody"}
    floor = {"auroc": {"floor": "nearest <b>", "value": 0.6}}
    return {
        "degradation": name, "severity": severity, "amount": 1.0,
        "scores": {"auroc": entry}, "floor": floor,
    }  # fmt: skip


@pytest.fixture
def metrics():
    lines = [line("none", 0, 0.9)]
    for name in ("noise", "blur", "ghosting", "rotation", "contrast"):
        lines += [line(name, severity, 0.9 - 0.1 * severity) for severity in (1, 2, 3)]
    return {"robustness": lines}


def test_every_degradation_has_a_row_and_every_severity_a_column(metrics) -> None:
    table = robustness_table(metrics)
    assert table["columns"] == ["severity 1", "severity 2", "severity 3"]
    assert len(table["rows"]) == 5
    assert table["rows"][0] == {
        "name": "noise",
        "cells": ["0.80 (0.70 to 0.90)", "0.70 (0.60 to 0.80)", "0.60 (0.50 to 0.70)"],
    }
    assert table["before"] == "0.90 (0.80 to 1.00)"
    assert table["floor"]["value"] == 0.6


def test_the_figure_says_the_worst_in_words(metrics) -> None:
    (picture,) = draw_robustness(metrics)
    assert "noise 0.60 (0.50 to 0.70)" in picture.alt
    assert "nearest <b>" in picture.caption


def test_what_is_undefined_is_left_out_of_the_figure(metrics) -> None:
    metrics["robustness"][2] = line("noise", 2, -1)
    (picture,) = draw_robustness(metrics)
    assert picture.png.startswith(b"\x89PNG")
    assert robustness_table(metrics)["rows"][0]["cells"][1] == "undefined: nobody"


@pytest.mark.parametrize("found", [{}, {"robustness": None}])
def test_without_worsened_scans_there_is_nothing(found) -> None:
    assert robustness_table(found) is None
    assert draw_robustness(found) == []
