"""What ``prepare`` writes beside the volumes: cohort, tables, record and page."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vit_dementia import DISCLAIMER, __version__
from vit_dementia.data.cohort import Cohort
from vit_dementia.files import write_json, write_text
from vit_dementia.preparation.templates import load_template
from vit_dementia.workflows.prepare import FORMAT, Preparation
from vit_dementia.workflows.prepare_page import page

_HEAD = ("scan", "path", "outcome", "verdict", "codes", "reasons", "seconds")


def write_preparation(out: Path, made: Preparation) -> Path:
    """Write everything into the output folder; return the page."""
    out.mkdir(parents=True, exist_ok=True)  # where nothing was prepared
    usable(out, made).write(out)
    write_json(out / "dataset_description.json", _description())
    write_json(out / "preparation.json", document(made))
    write_text(out / "quality.tsv", quality_table(made))
    write_text(out / "failures.tsv", failure_table(made))
    path = out / "quality.html"
    write_text(path, page(made))
    return path


def usable(out: Path, made: Preparation) -> Cohort:
    """Return the cohort of the prepared volumes, with who, when and which label."""
    fine = [result.outcome in ("prepared", "kept") for result in made.results]
    table = made.cohort.table.copy()
    table["path"] = list(made.names)
    table = table[fine].sort_values("path", ignore_index=True)
    problems = [
        f"{path}: {result.cause or _told(result)}"
        for path, result in zip(made.cohort.table["path"], made.results, strict=True)
        if result.outcome in ("refused", "failed")
    ]
    return replace(
        made.cohort,
        root=out,
        table=table,
        problems=(*made.cohort.problems, *problems),
    )


def document(made: Preparation) -> dict[str, Any]:
    """Return ``preparation.json``: what ``prepare --json`` prints; it names nobody."""
    return {
        "format": FORMAT,
        "pipeline": made.pipeline.facts(),
        "template": load_template(made.pipeline.template).facts(),
        "counts": made.counts(),
        "scans": [
            {
                "scan": number,
                "outcome": result.outcome,
                "quality": None if result.quality is None else result.quality.to_dict(),
            }
            for number, result in enumerate(made.results, start=1)
        ],
        "disclaimer": DISCLAIMER,
    }


def quality_table(made: Preparation) -> str:
    """Return ``quality.tsv``: a row a scan, in the order of the cohort."""
    names = sorted(
        {name for one in made.results if one.quality for name in one.quality.measures}
    )
    rows = []
    for number, (path, result) in enumerate(_scans(made), start=1):
        quality = result.quality
        measures = {} if quality is None else quality.measures
        rows.append(
            [
                str(number),
                path,
                result.outcome,
                "n/a" if quality is None else quality.verdict,
                _joined([] if quality is None else [r.code for r in quality.reasons]),
                result.cause or _told(result),
                f"{result.seconds:.1f}",
                *(f"{measures[n]:.4g}" if n in measures else "n/a" for n in names),
            ]
        )
    return _tsv([*_HEAD, *names], rows)


def failure_table(made: Preparation) -> str:
    """Return ``failures.tsv``: the scans that are not in the output, and why."""
    rows = [
        [str(number), path, result.outcome, result.cause or _told(result)]
        for number, (path, result) in enumerate(_scans(made), start=1)
        if result.outcome in ("refused", "failed")
    ]
    return _tsv(["scan", "path", "outcome", "reason"], rows)


def _scans(made: Preparation) -> list[tuple[str, Any]]:
    return list(zip(made.cohort.table["path"], made.results, strict=True))


def _told(result: Any) -> str:
    """Return every reason in words."""
    if result.quality is None:
        return "n/a"
    return _joined([reason.text for reason in result.quality.reasons])


def _joined(words: Sequence[str]) -> str:
    return "; ".join(words) or "n/a"


def _tsv(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()


def _description() -> dict[str, Any]:
    """Return what BIDS asks of a folder of derivatives."""
    return {
        "Name": "Prepared T1-weighted volumes",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "vit-dementia", "Version": __version__}],
    }
