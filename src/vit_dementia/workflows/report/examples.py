"""Examples for a report: surely right, surely wrong, and unsure. Nobody is named.

An example is found again by its line in a predictions table; its scan is shown only
where somebody said that it may be.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vit_dementia.evaluation.predictions import UNKNOWN, Predictions
from vit_dementia.preparation.glance import glance

MOST = 3  # of each kind
_SIDE = 160  # pixels of a thumbnail
_WHITE = 99.5  # percentile shown white


@dataclass(frozen=True, eq=False)
class Mapped:
    """What an answer hangs on, for one scan and one class.

    Attributes:
        facts: for ``report.json``: ``said`` and, if there is a map, ``class``,
            ``method``, ``faithful`` and ``outside_head``.
        picture: the scan with its map on it; None: there is no map.
    """

    facts: Mapping[str, Any]
    picture: UInt8[np.ndarray, "h w 3"] | None = None


ExplainOne = Callable[[Path, str], Mapped]


def choose_examples(told: Predictions) -> list[dict[str, Any]]:
    """Return the surest right and wrong answers, and those closest to a tie.

    An example is ``{"kind", "row", "label", "predicted", "probabilities", "num_scans",
    "map"}``; ``row`` is its place in the table given, from 0, and ``map`` is None.

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
            "map": None,
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
    return _address(np.clip(pixels / white * 255, 0, 255).astype(np.uint8))


def explain_examples(
    examples: Sequence[Mapping[str, Any]],
    files: Sequence[Path],
    explain: ExplainOne,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the examples with what was measured on their maps, and the pictures.

    The class that is explained is the one that was told of the person.

    Args:
        examples: as chosen.
        files: the scan of each.
        explain: maps one scan for one class.
    """
    told, pictures = list[dict[str, Any]](), list[str]()
    for example, file in zip(examples, files, strict=True):
        found = explain(file, example["predicted"])
        told.append({**example, "map": dict(found.facts)})
        pictures.append("" if found.picture is None else _address(found.picture))
    return told, pictures


def _address(pixels: UInt8[np.ndarray, "h w *colors"]) -> str:
    """Return a picture, made small, as a ``data:`` address."""
    small = Image.fromarray(pixels)
    small.thumbnail((_SIDE, _SIDE))
    out = io.BytesIO()
    small.save(out, format="PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")
