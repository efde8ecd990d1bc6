"""What the models of some folds said, put together.

Each is asked of those whom it never saw, so that everybody is scored once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from vit_dementia.evaluation.crossed import Crossed, LeftOut, observed_out_of_fold
from vit_dementia.evaluation.endpoint import positive_classes
from vit_dementia.evaluation.lines import Line
from vit_dementia.evaluation.permuted import Relearned
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.workflows.scoring import Scored


def crossed(
    parts: Mapping[int, Scored], *, positive: Sequence[str] | None, level: float
) -> Crossed:
    """Return how the models of some folds, who tested everybody once, answer others."""
    first = next(iter(parts.values()))
    yes = positive_classes(first.predictions.classes, positive)
    return Crossed.of(
        first.predictions.classes,
        [
            LeftOut.of(
                part.predictions,
                fold=fold,
                model=part.said["model"],
                line=_balanced(part.lines),
            )
            for fold, part in parts.items()
        ],
        positive=yes,
        level=level,
        leak=first.facts.get("allow_leakage", ""),
        observed=observed_out_of_fold(
            [part.predictions for part in parts.values()], positive=yes
        ),
    )


def fold_of(parts: Mapping[int, Scored]) -> dict[str, int]:
    """Say in which fold each participant, and each scan, was scored."""
    return {
        str(name): fold
        for fold, part in parts.items()
        for column in ("path", "participant_id")
        for name in part.predictions.table[column]
    }


def pooled(parts: Mapping[int, Scored]) -> Scored:
    """Put the test parts of some folds in one table."""

    def together(predictions: Sequence[Predictions]) -> Predictions:
        tables = [part.table for part in predictions]
        return Predictions(predictions[0].classes, pd.concat(tables, ignore_index=True))

    every = list(parts.values())
    floors = set.intersection(*(set(part.floors) for part in every))
    again = set.intersection(*(set(part.relearned) for part in every))
    lines = set.intersection(*(set(part.lines) for part in every))
    return replace(
        every[0],
        predictions=together([part.predictions for part in every]),
        floors={
            name: together([part.floors[name] for part in every])
            for name in every[0].floors
            if name in floors
        },
        relearned={
            name: Relearned.together([part.relearned[name] for part in every])
            for name in every[0].relearned
            if name in again
        },
        lines={
            name: _line_of_folds(name, parts)
            for name in every[0].lines
            if name in lines
        },
        said={
            "said": _said([part.calibration.scaling.method for part in every]),
            "by_fold": {str(fold): part.said for fold, part in parts.items()},
        },
    )


def _balanced(lines: Mapping[str, Line]) -> float | None:
    line = lines.get("balanced")
    return line.threshold if line and isinstance(line.threshold, float) else None


def _line_of_folds(name: str, parts: Mapping[int, Scored]) -> Line:
    thresholds = {str(fold): part.lines[name].threshold for fold, part in parts.items()}
    alone = {n: value for n, value in thresholds.items() if isinstance(value, float)}
    return Line(alone, "the validation participants of each fold")


def _said(methods: Sequence[str]) -> str:
    """Say how the folds' probabilities were mended.

    >>> _said(["none", "temperature", "temperature"])
    'scaled in each fold on its own validation participants (2 temperature, 1 none)'
    """
    counted = ", ".join(f"{n} {name}" for name, n in Counter(methods).most_common())
    return f"scaled in each fold on its own validation participants ({counted})"
