"""Examples for a report: surely right, surely wrong, and unsure. Nobody is named.

An example is found again by its line in a predictions table; its scan is shown only
where somebody said that it may be.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vit_dementia.evaluation.predictions import UNKNOWN, Predictions
from vit_dementia.preparation.glance import glance

MOST = 3  # of each kind
_SIDE = 160  # pixels of a thumbnail
_WHITE = 99.5  # percentile shown white


def choose_examples(told: Predictions) -> list[dict[str, Any]]:
    """Return the surest right and wrong answers, and those closest to a tie.

    An example is ``{"kind", "row", "label", "predicted", "probabilities",
    "num_scans"}``; ``row`` is its place in the table given, from 0.

    >>> told = Predictions.from_arrays(
    ...     ["CN", "AD"], participant_ids=["a", "b", "c"], session_ids=["n/a"] * 3,
    ...     paths=["1", "2", "3"], labels=["AD", "CN", "AD"],
    ...     probabilities=np.array([[0.1, 0.9], [0.2, 0.8], [0.51, 0.49]]),
    ... )
    >>> [(one["kind"], one["row"]) for one in choose_examples(told)]
    [('right', 0), ('wrong', 1), ('unsure', 2)]
    """
    table, probability = told.table, told.probabilities
    labels = table.label.to_numpy(dtype=str)
    known = np.flatnonzero(labels != UNKNOWN)
    ranked = np.sort(probability, axis=1)
    lead = ranked[:, -1] - ranked[:, -2]
    right = labels == table.predicted.to_numpy(dtype=str)
    unsure = known[np.argsort(lead[known], kind="stable")][: max(1, len(known) // 10)]
    unsure = unsure[:MOST]
    sure = np.setdiff1d(known, unsure)
    surest = sure[np.argsort(-lead[sure], kind="stable")]
    chosen = [
        *(("right", row) for row in surest[right[surest]][:MOST]),
        *(("wrong", row) for row in surest[~right[surest]][:MOST]),
        *(("unsure", row) for row in unsure),
    ]
    return [
        {
            "kind": kind,
            "row": int(row),
            "label": str(labels[row]),
            "predicted": str(table.predicted.iloc[row]),
            "probabilities": dict(
                zip(told.classes, probability[row].tolist(), strict=True)
            ),
            "num_scans": int(table.num_scans.iloc[row]) if "num_scans" in table else 1,
        }
        for kind, row in chosen
    ]


def lines_of(told: Predictions, predictions: Predictions) -> list[int]:
    """Return for each row of ``told`` its line in the table that is written of all.

    The header is line 1. People are sorted by their ids there, images as they are.
    """
    if "num_scans" not in told.table:
        return [row + 2 for row in range(len(told.table))]
    everybody = sorted(set(predictions.table.participant_id))
    line_of = {who: line for line, who in enumerate(everybody, 2)}
    return [line_of[who] for who in told.table.participant_id]


def middle_scans(told: Predictions, images: Predictions) -> list[str]:
    """Return for each row of a table the path of its scan in the middle.

    Args:
        told: by participant, or by image.
        images: by image.
    """
    if "num_scans" not in told.table:
        return told.table.path.tolist()
    groups = images.table.groupby("participant_id").path
    middle = {who: sorted(paths)[len(paths) // 2] for who, paths in groups}
    return [middle[who] for who in told.table.participant_id]


def thumbnails(root: Path, paths: Sequence[str]) -> list[str]:
    """Return small pictures of scans as ``data:`` addresses."""
    return [_thumbnail(root / path) for path in paths]


def _thumbnail(path: Path) -> str:
    pixels = glance(path)
    white = float(np.percentile(pixels, _WHITE)) or 1.0
    gray = np.clip(pixels / white * 255, 0, 255).astype(np.uint8)
    small = Image.fromarray(gray)
    small.thumbnail((_SIDE, _SIDE))
    out = io.BytesIO()
    small.save(out, format="PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")
