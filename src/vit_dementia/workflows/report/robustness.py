"""How scores fall when the same scans are made worse: the table and the figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vit_dementia.workflows.report.picture import (
    FLOOR,
    MODEL,
    QUIET,
    Picture,
    saved,
    styled,
)
from vit_dementia.workflows.report.words import Metrics, number

_IN_A_ROW = 4  # panels of the figure


def robustness_table(metrics: Metrics) -> dict[str, Any] | None:
    """Return the AUROC of every degradation at every severity, and the floor."""
    found = metrics.get("robustness")
    if not found:
        return None
    before, floor = found[0]["scores"]["auroc"], found[0]["floor"].get("auroc")
    by_name = _by_name(found)
    most = max(len(lines) for lines in by_name.values())
    return {
        "columns": [f"severity {severity}" for severity in range(1, most + 1)],
        "before": number(before),
        "floor": floor,
        "rows": [
            {
                "name": name,
                "cells": [number(line["scores"]["auroc"]) for line in lines],
            }
            for name, lines in by_name.items()
        ],
    }


def draw_robustness(metrics: Metrics) -> list[Picture]:
    """Draw AUROC against severity, a panel for each degradation, with the floor."""
    found = metrics.get("robustness")
    if not found or found[0]["scores"]["auroc"]["value"] is None:
        return []
    by_name, floor = _by_name(found), found[0]["floor"].get("auroc")
    height = -(-len(by_name) // _IN_A_ROW)  # rounded up
    with styled(8.2, 0.5 + 1.9 * height) as figure:
        axes = figure.subplots(height, _IN_A_ROW, sharex=True, sharey=True).flat
        for axis, (name, lines) in zip(axes, by_name.items(), strict=False):
            entries = [line["scores"]["auroc"] for line in (found[0], *lines)]
            drawn = [
                (place, entry)
                for place, entry in enumerate(entries)
                if entry["value"] is not None
            ]
            x, y = zip(
                *((place, entry["value"]) for place, entry in drawn), strict=True
            )
            axis.plot(x, y, "o-", color=MODEL, markersize=4)
            for place, entry in drawn:
                if entry["low"] is not None:
                    ends = [entry["low"], entry["high"]]
                    axis.plot([place] * 2, ends, color=MODEL, alpha=0.4, linewidth=2)
            if floor is not None:
                axis.axhline(floor["value"], color=FLOOR, linestyle="--", linewidth=1)
            axis.axhline(0.5, color=QUIET, linestyle=":", linewidth=0.8)
            axis.set(title=name, ylim=(-0.02, 1.02), xticks=range(len(entries)))
        for axis in list(axes)[len(by_name) :]:
            axis.set_visible(False)
        figure.supxlabel("severity", fontsize=10)
        figure.supylabel("AUROC", fontsize=10)
        content = saved(figure)
    said = "; ".join(
        f"{name} {number(lines[-1]['scores']['auroc'])}"
        for name, lines in by_name.items()
    )
    line = f" The dashed line is the floor ({floor['floor']})." if floor else ""
    return [
        Picture(
            "robustness",
            *content,
            f"AUROC of the same scans at the worst severity: {said}; as they are "
            f"{number(found[0]['scores']['auroc'])}.",
            "AUROC of the same scans made worse, from as they are (0) to the worst, "
            f"with 95 % intervals.{line} The dotted line is guessing.",
        )
    ]


def _by_name(
    found: Sequence[Mapping[str, Any]],
) -> dict[str, list[Mapping[str, Any]]]:
    """Gather the lines of each degradation, in order of severity."""
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for line in found[1:]:
        lines.setdefault(line["degradation"], []).append(line)
    return lines
