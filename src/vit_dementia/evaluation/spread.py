"""How much scores differ from fold to fold, or from one repetition to the next.

The spread is that of models trained on overlapping people and scored on few; it is no
confidence interval, and its standard error is not the spread over a root of folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vit_dementia.evaluation.measures import MEASURES
from vit_dementia.evaluation.metrics import UndefinedScoreError
from vit_dementia.evaluation.rows import Rows


def by_fold(rows: Rows) -> dict[str, Any] | None:
    """Return each score in each fold and its spread; null without folds."""
    if rows.fold is None:
        return None
    names = np.unique(rows.fold).tolist()
    parts = {str(name): rows.part(rows.fold == name) for name in names}
    return {
        "n_participants": {
            name: len(np.unique(part.participant)) for name, part in parts.items()
        },
        "scores": {
            key: spread({name: _value(key, part) for name, part in parts.items()})
            for key in MEASURES
        },
    }


def over_repeats(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how each score differs between repetitions: contents of metrics.json.

    >>> section = {"scores": {"brier": {"value": 0.5}}}
    >>> told = {"by_participant": section, "by_image": section}
    >>> over_repeats([told, told])["scores"]["brier"]["mean"]
    0.5
    """
    sections = [told["by_participant"] or told["by_image"] for told in documents]
    return {
        "n": len(documents),
        "scores": {
            key: spread(
                {
                    str(number): section["scores"][key]["value"]
                    for number, section in enumerate(sections, start=1)
                }
            )
            for key in sections[0]["scores"]
        },
    }


def spread(values: Mapping[str, float | None]) -> dict[str, Any]:
    """Return each value with mean, standard deviation, lowest and highest.

    >>> spread({"0": 0.5, "1": 1.0, "2": None})["mean"]
    0.75
    """
    defined = [value for value in values.values() if value is not None]
    several = len(defined) > 1
    return {
        "each": dict(values),
        "mean": float(np.mean(defined)) if defined else None,
        "sd": float(np.std(defined, ddof=1)) if several else None,
        "low": min(defined, default=None),
        "high": max(defined, default=None),
    }


def _value(key: str, part: Rows) -> float | None:
    try:
        return MEASURES[key].value(part)
    except UndefinedScoreError:
        return None
