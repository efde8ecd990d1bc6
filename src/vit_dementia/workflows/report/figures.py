"""The figures of a report: scores beside floors, who was taken for whom, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from vit_dementia.evaluation.rows import Rows
from vit_dementia.workflows.report.curves import draw_curves
from vit_dementia.workflows.report.picture import (
    FLOOR,
    MODEL,
    QUIET,
    Picture,
    saved,
    short,
    styled,
)
from vit_dementia.workflows.report.robustness import draw_robustness
from vit_dementia.workflows.report.words import Metrics, number, title, unit_of


def draw(
    metrics: Metrics,
    rows: Rows,
    floors: Mapping[str, Rows],
    history: Sequence[Mapping[str, Any]],
) -> list[Picture]:
    """Draw every figure that the data define."""
    pictures = [_forest(metrics), _confusion(metrics), *_chance(metrics)]
    if metrics[f"by_{unit_of(metrics)}"]["scores"]["auroc"]["value"] is not None:
        pictures += draw_curves(metrics, rows, floors)
    pictures += draw_robustness(metrics)
    if history:
        pictures.append(_history(history))
    return pictures


def _forest(metrics: Metrics) -> Picture:
    """Draw the model's scores above those of the floors, with intervals."""
    unit = unit_of(metrics)
    sources = {"this model": metrics[f"by_{unit}"]["scores"], **metrics["floors"]}
    shown = [("auroc", 0.5), ("balanced_accuracy", None)]
    with styled(6.4, 1.3 + 0.38 * len(sources)) as figure:
        figure.set_layout_engine("constrained", wspace=0.08)
        for axis, (name, chance) in zip(
            figure.subplots(1, 2, sharey=True), shown, strict=True
        ):
            _rows_of_forest(axis, sources, name)
            if chance is not None:
                axis.axvline(chance, color=QUIET, linewidth=0.8, linestyle=":")
            axis.set(title=title(name), xlim=(-0.02, 1.02))
        content = saved(figure)
    alt = "; ".join(
        f"{title} of {who}: {number(scores[name])}"
        for name, title in (
            ("auroc", "AUROC"),
            ("balanced_accuracy", "balanced accuracy"),
        )
        for who, scores in sources.items()
    )
    return Picture(
        "forest",
        *content,
        f"Scores with 95 % intervals. {alt}.",
        f"Scores by {unit} with 95 % intervals, this model above the floors. The "
        "dotted line is guessing.",
    )


def _rows_of_forest(
    axis: Axes, sources: Mapping[str, Mapping[str, Any]], name: str
) -> None:
    for place, scores in enumerate(sources.values()):
        entry, color = scores[name], MODEL if place == 0 else FLOOR
        if entry["value"] is None:
            axis.text(0, place, "undefined", color=QUIET, va="center")
            continue
        if entry["low"] is not None:
            ends = [entry["low"], entry["high"]]
            axis.plot(ends, [place, place], color=color, linewidth=2)
        axis.plot(entry["value"], place, "s" if place == 0 else "o", color=color)
        axis.annotate(
            f"{entry['value']:.2f}",
            (entry["value"], place),
            (0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=color,
        )
    axis.set_yticks(range(len(sources)), [short(who, 44) for who in sources])
    axis.set_ylim(len(sources) - 0.5, -0.6)  # the model on top
    axis.tick_params(axis="y", length=0)


def _chance(metrics: Metrics) -> list[Picture]:
    """Draw the AUROCs that labels dealt out anew give, and that of the model."""
    section = metrics[f"by_{unit_of(metrics)}"]
    chance, auroc = section.get("chance"), section["scores"]["auroc"]["value"]
    if not chance or "histogram" not in chance or auroc is None:
        return []
    counts = chance["histogram"]
    edges = np.linspace(0, 1, len(counts) + 1)
    with styled(6.4, 2.2) as figure:
        axis = figure.subplots()
        axis.stairs(counts, edges, fill=True, color=QUIET, alpha=0.5)
        axis.axvline(auroc, color=MODEL, linewidth=2)
        axis.annotate(
            f"this model {auroc:.2f}",
            (auroc, 0.95 * max(counts)),
            (-6 if auroc > 0.5 else 6, 0),
            textcoords="offset points",
            ha="right" if auroc > 0.5 else "left",
            va="top",
            color=MODEL,
        )
        axis.set(xlabel="AUROC with the labels dealt out anew", xlim=(0, 1), yticks=[])
        axis.spines["left"].set_visible(False)
        content = saved(figure)
    return [
        Picture(
            "chance",
            *content,
            f"AUROCs of {chance['deals']:,} deals of the labels: 95 of 100 lie from "
            f"{chance['low']:.2f} to {chance['high']:.2f}; the model's is {auroc:.2f}.",
            f"What chance alone gives: AUROCs with the labels dealt out anew "
            f"{chance['deals']:,} times among the same participants.",
        )
    ]


def _confusion(metrics: Metrics) -> Picture:
    unit, classes = unit_of(metrics), metrics["classes"]
    counts = np.array(metrics[f"by_{unit}"]["confusion_matrix"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names, places = [short(name, 18) for name in classes], range(len(classes))
    side = 2.2 + 0.75 * len(classes)
    with styled(side + 0.8, side) as figure:
        axis = figure.subplots()
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (true, told), count in np.ndenumerate(counts):
            axis.text(
                told,
                true,
                f"{count}\n{shares[true, told]:.0%}",
                ha="center",
                va="center",
                fontsize=9,
                color="white" if shares[true, told] > 0.55 else "black",
            )
        axis.set_xticks(places, names, rotation=30, ha="right")
        axis.set_yticks(places, names)
        axis.set(xlabel="predicted", ylabel="true")
        axis.spines[:].set_visible(False)
        content = saved(figure)
    told = "; ".join(
        f"of {sum(row)} {true}, "
        + ", ".join(
            f"{count} as {name}" for name, count in zip(classes, row, strict=True)
        )
        for true, row in zip(classes, counts.tolist(), strict=True)
    )
    return Picture(
        "confusion",
        *content,
        f"Confusion matrix: {told}.",
        f"Confusion matrix by {unit}: counts, and shares of the true class.",
    )


def _history(history: Sequence[Mapping[str, Any]]) -> Picture:
    epochs = [record["epoch"] for record in history]
    panels = [
        ("Loss", {"train": "train_loss", "validation": "val_loss"}),
        ("Accuracy", {"train": "train_accuracy", "validation": "val_accuracy"}),
    ]
    with styled(6.4, 2.7) as figure:
        for axis, (title, series) in zip(figure.subplots(1, 2), panels, strict=True):
            for (name, key), style in zip(series.items(), ("--", "-"), strict=True):
                values = [record.get(key) for record in history]
                if any(value is not None for value in values):
                    told = np.array(values, dtype=float)  # None: not looked at
                    marker = "o" if len(epochs) == 1 else None
                    color = MODEL if style == "-" else QUIET
                    axis.plot(
                        epochs, told, style, color=color, label=name, marker=marker
                    )
            axis.set(title=title, xlabel="epoch")
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.legend()
        content = saved(figure)
    first, last = history[0]["train_loss"], history[-1]["train_loss"]
    return Picture(
        "curves",
        *content,
        f"Loss and accuracy over {len(history)} epochs; the training loss goes from "
        f"{first:.3f} to {last:.3f}.",
        "Loss and accuracy while training. The epoch that was kept is the best for the "
        "validation participants.",
    )
