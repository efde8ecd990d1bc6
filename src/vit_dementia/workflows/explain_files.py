"""The folder of ``explain``: pictures, maps, tables and a document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vit_dementia import DISCLAIMER
from vit_dementia.data.named import named_scans
from vit_dementia.data.participants import Identity
from vit_dementia.data.volumes import as_stored, write_volume
from vit_dementia.errors import RefusedError, ScanError
from vit_dementia.explanation.methods import Method
from vit_dementia.explanation.outside import largest_of_clean
from vit_dementia.explanation.overlay import draw
from vit_dementia.explanation.regions import Share
from vit_dementia.files import (
    free_run_path,
    write_bytes,
    write_json,
    write_text,
)
from vit_dementia.inference.compute import Device
from vit_dementia.inference.model_folder import SavedModel, read_model_folder
from vit_dementia.progress import Quiet, Watch
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.explain import (
    DEFAULT,
    Asked,
    Explanation,
    explain_scans,
)
from vit_dementia.workflows.explain_cases import CASE, Cases, cases_of
from vit_dementia.workflows.explain_groups import Groups
from vit_dementia.workflows.explain_kept import KeptMaps
from vit_dementia.workflows.explain_made import Made, made_of

FORMAT_VERSION = 1
Naming = Callable[[Sequence[Path]], Mapping[str, Identity]]
REGIONS = ("path", "participant_id", "class", *Share.__dataclass_fields__)


@dataclass(frozen=True)
class Explained:
    """What ``explain`` wrote.

    Attributes:
        folder: with the pictures, the maps and the tables.
        document: what ``explain --json`` prints.
        unread: how many of the refused scans could not be read.
    """

    folder: Path
    document: dict[str, Any]
    unread: int = 0


def explain(
    run: str | Path,
    scans: Iterable[str | Path],
    *,
    method: Method | None = None,
    label: str | None = None,
    layer: int = -1,
    head: int | None = None,
    cases: int = 0,
    show_scans: bool = False,
    who: Mapping[str, Identity] | Naming | None = None,
    out: str | Path | None = None,
    device: Device = "auto",
    watch: Watch | None = None,
) -> Explained:
    """Map scans, measure the maps and write both: ``vit-dementia explain``.

    Args:
        run: run folder, or its model folder.
        scans: images or volumes, folders or zips of them.
        method: how; by default the one that found the place best on phantoms.
        label: the class that is explained; by default the one predicted.
        layer: block of the method ``attention``.
        head: head of the method ``attention``; None: their mean.
        cases: how many training participants to name whose scans are most like each.
        show_scans: draw the scans of these, where license and consent allow it.
        who: the participant of each path, where names of files do not tell; or what
            says so of the names of all scans.
        out: folder to write; ``runs/<time>-explain`` if left out.
        device: where to compute.
        watch: who is told of the progress.

    Raises:
        DataError: if a path is not there, or holds no scan.
        ConfigError: if the model has no such class, block or head, or no scan of the
            training can be shown.
        CheckpointError: if cases are asked for, and this is no run folder.
    """
    unread = 0

    def noted(
        answers: Iterable[Explanation | ScanError],
    ) -> Iterator[Explanation | ScanError]:
        nonlocal unread
        for one in answers:
            unread += isinstance(one, ScanError) and not isinstance(one, RefusedError)
            yield one

    with named_scans(Path(scan) for scan in scans) as (files, places):
        model = read_model_folder(Path(run))
        like = cases_of(
            Path(run),
            model,
            count=cases,
            show_scans=show_scans,
            device=device,
            watch=watch or Quiet(),
            places=places,
        )
        asked = Asked(method=method or DEFAULT, label=label, layer=layer, head=head)
        answers = explain_scans(
            model,
            files,
            asked,
            device=device,
            who=who(files) if callable(who) else who,
            watch=watch,
            places=places,
        )
        folder = Path(out) if out is not None else free_run_path("explain")
        document = write_explanations(
            folder, model, asked, noted(answers), truth=truth_in(Path(run)), cases=like
        )
    return Explained(folder, document, unread)


def truth_in(run: Path) -> dict[str, str]:
    """Return the class of each participant whom a run knows; none of a model folder."""
    if not (run / "cohort.tsv").is_file():
        return {}
    groups = RunFolder.open(run).cohort().table.groupby("participant_id").label
    return {str(who): some.iloc[0] for who, some in groups if some.nunique() == 1}


def write_explanations(
    out: Path,
    model: SavedModel,
    asked: Asked,
    answers: Iterable[Explanation | Made | ScanError],
    *,
    truth: Mapping[str, str] | None = None,
    cases: Cases | None = None,
    kept: KeptMaps | None = None,
) -> dict[str, Any]:
    """Write a picture (and of a volume its map) for each scan, the tables and the JSON.

    Args:
        out: the folder.
        model: that was explained.
        asked: by which method.
        answers: what ``explain_scans`` yields, or what was kept of it.
        truth: the class of participants, as far as known.
        cases: finds the training participants most like each; None: nobody asked.
        kept: keeps what was made, for who asks again.

    Returns:
        What ``explain --json`` prints.
    """
    rows, refused, regions, alike = [], [], [], []
    groups = Groups(asked.method, dict(truth or {}))
    for number, one in enumerate(answers, 1):
        if isinstance(one, ScanError):
            refused.append(str(one))
            continue
        like: dict[str, Any] = {}
        if isinstance(one, Made):
            made = one
        else:
            if kept is not None:
                kept.forget(number)
            made = _drawn(out, number, one)
            if kept is not None:
                kept.add(number, made)
            if cases is not None:
                like = cases.write(out, number, one)
        alike.append(like)
        groups.add(made)
        regions.append(made.regions)
        rows.append(made.row)
    _write_table(out / "explanations.tsv", pd.DataFrame(rows))
    if any(regions):
        _write_table(out / "regions.tsv", _by_region(rows, regions))
    if any(alike):
        _write_table(out / "cases.tsv", _by_case(rows, alike))
    document = {
        "format": FORMAT_VERSION,
        "model": {"sha256": model.sha256, "classes": list(model.classes)},
        "method": asked.method,
        "results": [
            row | {"regions": parts} | like
            for row, parts, like in zip(rows, regions, alike, strict=True)
        ],
        **groups.write(out),
        "refused": refused,
        "outside_head": _typical(rows, largest_of_clean(asked.method, len(rows))),
        "disclaimer": DISCLAIMER,
    }
    write_json(out / "explanations.json", document)
    return document


def _drawn(out: Path, number: int, one: Explanation) -> Made:
    """Write the picture of a map, and of a volume the map."""
    volume = "" if one.relevance is None else f"{number:04}.nii.gz"
    made = made_of(one, picture=f"{number:04}.png", volume=volume)
    title = f"{one.label}: probability {one.probability:.2f} · {one.method}"
    png = draw(one.views, title=title, note=one.sentence())
    write_bytes(out / made.row["picture"], png)
    if one.relevance is not None:
        write_volume(out / volume, as_stored(one.relevance))
    return made


def _by_region(
    rows: list[dict[str, Any]], regions: list[list[dict[str, Any]] | None]
) -> pd.DataFrame:
    """Return a line for each scan and region."""
    lines = [
        row | part
        for row, parts in zip(rows, regions, strict=True)
        for part in parts or ()
    ]
    return pd.DataFrame(lines)[list(REGIONS)]


def _by_case(rows: list[dict[str, Any]], alike: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a line for each scan and case."""
    lines = [
        {"path": row["path"], "rank": rank} | case
        for row, like in zip(rows, alike, strict=True)
        for rank, case in enumerate(like["cases"], 1)
    ]
    return pd.DataFrame(lines, columns=["path", "rank", *CASE])


def _write_table(path: Path, table: pd.DataFrame) -> None:
    write_text(path, table.to_csv(sep="\t", index=False, lineterminator="\n"))


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
