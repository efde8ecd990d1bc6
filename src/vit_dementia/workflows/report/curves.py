"""The curves of a report: how it ranks, what its probabilities mean, what they buy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from vit_dementia.evaluation.calibration import reliability
from vit_dementia.evaluation.curves import (
    Curve,
    decision,
    precision_recall,
    risk,
    roc,
)
from vit_dementia.evaluation.endpoint import early_sides
from vit_dementia.evaluation.operating import net_benefit_of_flagging_all
from vit_dementia.evaluation.rows import Rows
from vit_dementia.workflows.report.picture import (
    FLOOR,
    MODEL,
    QUIET,
    Picture,
    saved,
    short,
    styled,
)
from vit_dementia.workflows.report.words import Metrics, number, unit_of


def draw_curves(
    metrics: Metrics, rows: Rows, floors: Mapping[str, Rows]
) -> list[Picture]:
    """Draw every curve of an endpoint that has two sides."""
    pictures = [
        _roc(metrics, rows, floors),
        _reliability(metrics, rows),
        _precision(metrics, rows),
        _decision(metrics, rows),
    ]
    sides = early_sides(rows.classes, rows.positive)
    early = metrics["early"]
    if early and sides and early["scores"]["auroc"]["value"] is not None:
        words = early["endpoint"]["words"]
        pictures.append(
            _decision(metrics, rows.among(sides), name="decision-early", of=words)
        )
    return [*pictures, _risk(metrics, rows)]


def _roc(metrics: Metrics, rows: Rows, floors: Mapping[str, Rows]) -> Picture:
    unit, best = unit_of(metrics), metrics["above_floor"].get("auroc", {}).get("floor")
    entry = metrics[f"by_{unit}"]["scores"]["auroc"]
    with styled(4.8, 4.6) as figure:
        axis = figure.subplots()
        curve = roc(rows)
        _band(axis, curve)
        _line(axis, _from_0(curve), MODEL, "-", f"this model, {entry['value']:.2f}")
        if best is not None:
            value = metrics["floors"][best]["auroc"]["value"]
            curve = _from_0(roc(floors[best]))
            _line(axis, curve, FLOOR, "--", f"{best}, {value:.2f}")
        axis.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=":")
        axis.set(
            xlabel="share of the negative side flagged",
            xlim=(-0.01, 1.01),
            ylabel="share of the positive side found",
            ylim=(-0.01, 1.01),
            aspect=1,
        )
        axis.legend(loc="lower right", title="AUROC", alignment="left")
        content = saved(figure)
    caption = f"ROC by {unit}, with the pointwise 95 % band from drawing {unit}s again"
    if rows.fold is not None:
        caption += "; the mean over folds, weighted by their pairs"
    return Picture(
        "roc",
        *content,
        f"ROC curve of this model, AUROC {number(entry)}"
        + (f", and of the best floor, {best}." if best is not None else "."),
        f"{caption}. The dotted line is guessing.",
    )


def _reliability(metrics: Metrics, rows: Rows) -> Picture:
    unit = unit_of(metrics)
    most = max(2, min(10, len(rows.label) // 10))
    bins = reliability(rows.is_positive, rows.score, num_bins=most)
    x, y = [b.mean_score for b in bins], [b.share for b in bins]
    with styled(4.8, 4.6) as figure:
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
        content = saved(figure)
    told = "; ".join(
        f"told {b.mean_score:.2f}, was {b.share:.2f} ({b.num_rows})" for b in bins
    )
    return Picture(
        "reliability",
        *content,
        f"Reliability: {told}.",
        f"Reliability by {unit}: probability told against how often it was so, in "
        f"bins of equal size with 95 % intervals; the small figures count {unit}s. On "
        "the dotted line probabilities mean what they say.",
    )


def _precision(metrics: Metrics, rows: Rows) -> Picture:
    unit = unit_of(metrics)
    entry = metrics[f"by_{unit}"]["scores"]["auprc"]
    prevalence = float(rows.is_positive.mean())
    with styled(4.8, 4.6) as figure:
        axis = figure.subplots()
        curve = precision_recall(rows)
        _band(axis, curve)
        _line(axis, curve, MODEL, "-", "this model")
        axis.axhline(prevalence, color=QUIET, linewidth=0.8, linestyle=":")
        axis.set(
            xlabel="share of the positive side found",
            xlim=(-0.01, 1.01),
            ylabel="share of the flagged who are positive",
            ylim=(-0.01, 1.03),
            aspect=1,
        )
        content = saved(figure)
    caption = f"Precision against recall by {unit}, with the pointwise 95 % band"
    if rows.fold is not None:
        caption += "; all folds ranked together"
    return Picture(
        "precision",
        *content,
        f"Precision-recall curve of this model, AUPRC {number(entry)}; guessing gives "
        f"{prevalence:.2f}.",
        f"{caption}. The dotted line is guessing.",
    )


def _decision(
    metrics: Metrics, rows: Rows, *, name: str = "decision", of: str = ""
) -> Picture:
    """Draw the net benefit of acting on the model; ``of`` another endpoint."""
    unit, told = unit_of(metrics), f" of {of}" if of else ""
    thresholds = np.linspace(0.05, 0.9, 86)
    everybody = net_benefit_of_flagging_all(float(rows.is_positive.mean()), thresholds)
    with styled(4.8, 3.6) as figure:
        axis = figure.subplots()
        curve = decision(rows, thresholds)
        _band(axis, curve)
        _line(axis, curve, MODEL, "-", "this model")
        axis.plot(thresholds, everybody, "--", color=FLOOR, label="flag everybody")
        axis.axhline(0, color=QUIET, linewidth=0.8, linestyle=":", label="flag nobody")
        lowest = min(-0.05, float(curve.low.min()))
        axis.set(
            xlabel="probability above which one would act",
            ylabel="net benefit",
            ylim=(max(lowest, -0.25), None),
        )
        axis.legend()
        content = saved(figure)
    said = ", ".join(
        f"{curve.y[np.abs(thresholds - at).argmin()]:.2f} at {at:.0%}"
        for at in (0.2, 0.5, 0.8)
    )
    return Picture(
        name,
        *content,
        f"Decision curve{told}: net benefit {said}; flagging nobody gives 0.",
        f"Decision curve{told} by {unit}: true positives less false alarms at their "
        "price, as a share of everybody, with the pointwise 95 % band. Acting on the "
        "model pays where its line lies above both others.",
    )


def _risk(metrics: Metrics, rows: Rows) -> Picture:
    unit = unit_of(metrics)
    curve = risk(rows)
    with styled(4.8, 3.6) as figure:
        axis = figure.subplots()
        _band(axis, curve)
        _line(axis, curve, MODEL, "-", "this model")
        axis.set(
            xlabel=f"share of {unit}s answered, the surest first",
            ylabel="share wrong among them",
            xlim=(0, 1.01),
            ylim=(0, None),
        )
        content = saved(figure)
    half = float(curve.y[np.abs(curve.x - 0.5).argmin()])
    return Picture(
        "risk",
        *content,
        f"Share wrong: {curve.y[-1]:.2f} if all are answered, {half:.2f} if the surer "
        "half is.",
        f'What saying "not sure" would buy, by {unit}: the share wrong among the '
        "surest, with the pointwise 95 % band. A line that does not rise says that the "
        "model does not know when it is wrong.",
    )


def _line(axis: Axes, curve: Curve, color: str, style: str, label: str) -> None:
    axis.plot(
        curve.x, curve.y, style, color=color, linewidth=1.8, label=short(label, 34)
    )


def _band(axis: Axes, curve: Curve) -> None:
    axis.fill_between(
        curve.x, curve.low, curve.high, color=MODEL, alpha=0.18, linewidth=0
    )


def _from_0(curve: Curve) -> Curve:
    """Begin a ROC curve where nobody is flagged."""
    return Curve(
        np.concatenate([[0.0], curve.x]),
        np.concatenate([[0.0], curve.y]),
        np.concatenate([[0.0], curve.low]),
        np.concatenate([[0.0], curve.high]),
    )
