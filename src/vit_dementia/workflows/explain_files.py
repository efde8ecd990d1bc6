"""The folder of ``explain``: pictures, maps, a table and a document."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vit_dementia import DISCLAIMER
from vit_dementia.data.volumes import write_volume
from vit_dementia.errors import ScanError
from vit_dementia.explanation.outside import LARGEST
from vit_dementia.explanation.overlay import View, draw
from vit_dementia.files import write_bytes, write_json, write_text
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.workflows.explain import Asked, Explanation

FORMAT_VERSION = 1


def write_explanations(
    out: Path,
    model: SavedModel,
    asked: Asked,
    answers: Iterable[Explanation | ScanError],
) -> dict[str, Any]:
    """Write a picture (and of a volume its map) for each scan, the table and the JSON.

    Returns:
        What ``explain --json`` prints.
    """
    results, refused, prepared = [], [], []
    for number, one in enumerate(answers, 1):
        if isinstance(one, ScanError):
            refused.append(str(one))
            continue
        row = one.to_dict() | {"picture": f"{number:04}.png", "volume": ""}
        title = f"{one.label}: probability {one.probability:.2f} · {asked.method}"
        png = draw(one.views, title=title, note=one.sentence())
        write_bytes(out / row["picture"], png)
        if one.relevance is not None:
            row["volume"] = f"{number:04}.nii.gz"
            write_volume(out / row["volume"], one.relevance)
        if one.prepared is not None:
            prepared.append(one.prepared)
        results.append(row)
    if len(prepared) > 1:
        write_bytes(out / "group.png", _group(prepared, asked))
    table = pd.DataFrame(results)
    write_text(
        out / "explanations.tsv",
        table.to_csv(sep="\t", index=False, lineterminator="\n"),
    )
    document = {
        "format": FORMAT_VERSION,
        "model": {"sha256": model.sha256, "classes": list(model.classes)},
        "method": asked.method,
        "results": results,
        "refused": refused,
        "outside_head": _typical(results, LARGEST[asked.method]),
        "disclaimer": DISCLAIMER,
    }
    write_json(out / "explanations.json", document)
    return document


def _typical(results: list[dict[str, Any]], largest: float) -> dict[str, Any] | None:
    """Say of the whole group whether the model looks outside the head."""
    if not results:
        return None
    share = float(np.median([row["outside_head"] for row in results]))
    return {
        "median_share": share,
        "largest_of_clean": largest,
        "looks_outside": share > largest,
    }


def _group(prepared: list[View], asked: Asked) -> bytes:
    mean = View(
        np.mean([one.picture for one in prepared], axis=0),
        np.mean([one.relevance for one in prepared], axis=0),
    )
    title = f"mean of {len(prepared)} scans · {asked.method}"
    return draw([mean], title=title, note="each scan's map scaled to its own largest")
