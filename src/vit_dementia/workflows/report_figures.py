"""The figures of a report: drawn from arrays, each with the words that describe it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vit_dementia.evaluation.calibration import reliability
from vit_dementia.evaluation.curves import Curve, roc
from vit_dementia.evaluation.rows import Rows
from vit_dementia.workflows.report_words import MEANING, Metrics, number, unit_of

MODEL, FLOOR, QUIET = "#0b5fa5", "#8a5a00", "#6b7280"  # 4.5:1 on white or better
_STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.titlesize": 11,
    "legend.frameon": False,
    "text.parse_math": False,  # a class may be named $x$
}
_DPI = 160


@dataclass(frozen=True)
class Picture:
    """A PNG, the words for those who do not see it, and its caption."""

    name: str
    png: bytes
    alt: str
    caption: str


def draw(
    metrics: Metrics,
    rows: Rows,
    floors: Mapping[str, Rows],
    history: Sequence[Mapping[str, Any]],
) -> list[Picture]:
    """Draw every figure that the data define."""
    pictures = [_forest(metrics), _confusion(metrics)]
    if metrics[f"by_{unit_of(metrics)}"]["scores"]["auroc"]["value"] is not None:
        pictures += [_roc(metrics, rows, floors), _reliability(metrics, rows)]
    if history:
        pictures.append(_curves(history))
    return pictures


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        # A class name in a script that the font lacks still reads in the tables.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(out, format="png", dpi=_DPI, metadata={"Software": None})
    return out.getvalue()


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _short(name: str, most: int = 24) -> str:
    """Cut a long name for an axis; the tables have it whole.

    >>> _short("a" * 30)
    'aaaaaaaaaaaaaaaaaaaaaaa…'
    """
    return name if len(name) <= most else name[: most - 1] + "…"


def _forest(metrics: Metrics) -> Picture:
    """Draw the model's scores above those of the floors, with intervals."""
    unit = unit_of(metrics)
    sources = {"this model": metrics[f"by_{unit}"]["scores"], **metrics["floors"]}
    shown = [("auroc", 0.5), ("balanced_accuracy", None)]
    with mpl.rc_context(_STYLE):
        figure = _figure(6.4, 1.3 + 0.38 * len(sources))
        figure.get_layout_engine().set(wspace=0.08)
        for axis, (name, chance) in zip(
            figure.subplots(1, 2, sharey=True), shown, strict=True
        ):
            _rows_of_forest(axis, sources, name)
            if chance is not None:
                axis.axvline(chance, color=QUIET, linewidth=0.8, linestyle=":")
            axis.set(title=MEANING[name][0], xlim=(-0.02, 1.02))
        content = _png(figure)
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
        content,
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
    axis.set_yticks(range(len(sources)), [_short(who, 30) for who in sources])
    axis.set_ylim(len(sources) - 0.5, -0.6)  # the model on top
    axis.tick_params(axis="y", length=0)


def _confusion(metrics: Metrics) -> Picture:
    unit, classes = unit_of(metrics), metrics["classes"]
    counts = np.array(metrics[f"by_{unit}"]["confusion_matrix"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names, places = [_short(name, 18) for name in classes], range(len(classes))
    with mpl.rc_context(_STYLE):
        side = 2.2 + 0.75 * len(classes)
        figure = _figure(side + 0.8, side)
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
        content = _png(figure)
    told = "; ".join(
        f"of {sum(row)} {true}, "
        + ", ".join(
            f"{count} as {name}" for name, count in zip(classes, row, strict=True)
        )
        for true, row in zip(classes, counts.tolist(), strict=True)
    )
    return Picture(
        "confusion",
        content,
        f"Confusion matrix: {told}.",
        f"Confusion matrix by {unit}: counts, and shares of the true class.",
    )


def _roc(metrics: Metrics, rows: Rows, floors: Mapping[str, Rows]) -> Picture:
    unit, best = unit_of(metrics), metrics["above_floor"].get("auroc", {}).get("floor")
    entry = metrics[f"by_{unit}"]["scores"]["auroc"]
    with mpl.rc_context(_STYLE):
        figure = _figure(4.8, 4.6)
        axis = figure.subplots()
        curve = roc(rows)
        axis.fill_between(curve.x, curve.low, curve.high, color=MODEL, alpha=0.18, lw=0)
        _step(axis, curve, MODEL, "-", f"this model, {entry['value']:.2f}")
        if best is not None:
            value = metrics["floors"][best]["auroc"]["value"]
            _step(axis, roc(floors[best]), FLOOR, "--", f"{best}, {value:.2f}")
        axis.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=":")
        axis.set(
            xlabel="share of the negative side flagged",
            xlim=(-0.01, 1.01),
            ylabel="share of the positive side found",
            ylim=(-0.01, 1.01),
            aspect=1,
        )
        axis.legend(loc="lower right", title="AUROC", alignment="left")
        content = _png(figure)
    caption = f"ROC by {unit}, with the pointwise 95 % band from drawing {unit}s again"
    if rows.fold is not None:
        caption += "; the mean over folds, weighted by their pairs"
    return Picture(
        "roc",
        content,
        f"ROC curve of this model, AUROC {number(entry)}"
        + (f", and of the best floor, {best}." if best is not None else "."),
        f"{caption}. The dotted line is guessing.",
    )


def _step(axis: Axes, curve: Curve, color: str, style: str, label: str) -> None:
    x, y = np.concatenate([[0.0], curve.x]), np.concatenate([[0.0], curve.y])
    axis.plot(
        x, y, color=color, linestyle=style, linewidth=1.8, label=_short(label, 34)
    )


def _reliability(metrics: Metrics, rows: Rows) -> Picture:
    unit = unit_of(metrics)
    most = max(2, min(10, len(rows.label) // 10))
    bins = reliability(rows.is_positive, rows.score, num_bins=most)
    x, y = [b.mean_score for b in bins], [b.share for b in bins]
    with mpl.rc_context(_STYLE):
        figure = _figure(4.8, 4.6)
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=":")
        axis.vlines(
            x,
            [b.interval.low for b in bins],
            [b.interval.high for b in bins],
            color=MODEL,
            alpha=0.45,
            linewidth=2,
        )
        axis.plot(x, y, "o", color=MODEL)
        for found in bins:
            axis.annotate(
                str(found.num_rows),
                (found.mean_score, found.share),
                (5, 4),
                textcoords="offset points",
                fontsize=8,
                color=QUIET,
            )
        axis.set(
            xlabel="probability told",
            ylabel="share that was positive",
            xlim=(-0.03, 1.03),
            ylim=(-0.03, 1.03),
            aspect=1,
        )
        content = _png(figure)
    told = "; ".join(
        f"told {b.mean_score:.2f}, was {b.share:.2f} ({b.num_rows})" for b in bins
    )
    return Picture(
        "reliability",
        content,
        f"Reliability: {told}.",
        f"Reliability by {unit}: probability told against how often it was so, in "
        f"bins of equal size with 95 % intervals; the small figures count {unit}s. On "
        "the dotted line probabilities mean what they say.",
    )


def _curves(history: Sequence[Mapping[str, Any]]) -> Picture:
    epochs = [record["epoch"] for record in history]
    panels = [
        ("Loss", {"train": "train_loss", "validation": "val_loss"}),
        ("Accuracy", {"train": "train_accuracy", "validation": "val_accuracy"}),
    ]
    with mpl.rc_context(_STYLE):
        figure = _figure(6.4, 2.7)
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
        content = _png(figure)
    first, last = history[0]["train_loss"], history[-1]["train_loss"]
    return Picture(
        "curves",
        content,
        f"Loss and accuracy over {len(history)} epochs; the training loss goes from "
        f"{first:.3f} to {last:.3f}.",
        "Loss and accuracy while training. The best epoch was chosen by the "
        "validation participants, never by those scored here.",
    )
