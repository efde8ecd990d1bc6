"""``vit-dementia prepare``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vit_dementia import DISCLAIMER
from vit_dementia.cli.options import CohortOptions, read_cohort
from vit_dementia.cli.terminal import say, tell_of_pictures, watch_for_people
from vit_dementia.preparation.pipeline import Pipeline

if TYPE_CHECKING:
    from vit_dementia.workflows.prepare import Preparation

_FIRST = 5  # scans named on the terminal; failures.tsv has them all


def prepare(
    data: Path,
    out: Path,
    /,
    *,
    cohort: Annotated[CohortOptions, Parameter(name="*")] = CohortOptions(),
    pipeline: Annotated[Pipeline, Parameter(name="*")] = Pipeline(),
    keep_failed: Annotated[bool, Parameter(negative="")] = False,
    workers: int | None = None,
    scheduler: str | None = None,
    json: bool = False,
) -> int:
    """Register volumes, judge their quality, and write them ready for training.

    Run it again to go on where it stopped: what is made already is kept.

    Example: vit-dementia prepare scans/ prepared/ --pipeline fast

    Args:
        data: volumes: a BIDS data set, DICOM, folders of NIfTI, or a table of them.
        out: folder for the prepared volumes, quality.tsv, failures.tsv, quality.html.
        keep_failed: also write what quality control refuses.
        workers: processes on this machine [default: one for each core].
        scheduler: address of a Dask scheduler: tcp://host:8786.
        json: print preparation.json on stdout.

    Returns:
        0 if every scan is usable, 3 if some were refused, 2 if none could be used.
    """
    from vit_dementia.workflows.prepare import prepare_cohort
    from vit_dementia.workflows.prepare_files import document, write_preparation

    made = prepare_cohort(
        read_cohort(data, cohort, as_found=True, unlabelled=True),
        out,
        pipeline,
        keep_failed=keep_failed,
        workers=workers,
        scheduler=scheduler,
        watch=watch_for_people(),
    )
    page = write_preparation(out, made)
    _tell(made)
    say(f"pictures of every registration: {page}")
    tell_of_pictures()
    say(DISCLAIMER)
    if json:
        print(json_module.dumps(document(made), indent=2, ensure_ascii=False))
    counts = made.counts()
    if not counts["prepared"] + counts["kept"]:
        return 2
    return 3 if counts["refused"] + counts["failed"] + counts["fail"] else 0


def _tell(made: Preparation) -> None:
    counts = made.counts()
    say(
        f"{len(made.results)} scans: {counts['prepared']} prepared, {counts['kept']} "
        f"kept from before, {counts['refused']} refused, {counts['failed']} not read"
    )
    say(f"quality: {counts['pass']} pass, {counts['warn']} warn, {counts['fail']} fail")
    left_out = [
        (path, result)
        for path, result in zip(made.cohort.table["path"], made.results, strict=True)
        if result.outcome in ("refused", "failed")
    ]
    for path, result in left_out[:_FIRST]:
        cause = result.cause
        if result.quality is not None:
            cause = "; ".join(reason.text for reason in result.quality.reasons)
        say(f"  {result.outcome}: {path}: {cause}")
    if (more := len(left_out) - _FIRST) > 0:
        say(f"  and {more} more in failures.tsv")
