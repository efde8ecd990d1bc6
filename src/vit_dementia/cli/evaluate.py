"""``vit-dementia evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vit_dementia.cli.options import CohortOptions, names_in, read_cohort
from vit_dementia.cli.scores import tell_scores
from vit_dementia.cli.terminal import watch_for_people
from vit_dementia.inference.compute import Device
from vit_dementia.workflows.report_options import ReportOptions


def evaluate(
    run: Path,
    data: Path | None = None,
    /,
    *,
    role: Literal["train", "val", "test"] = "test",
    positive: str | None = None,
    cohort: Annotated[CohortOptions, Parameter(name="*")] = CohortOptions(),
    report: Annotated[ReportOptions, Parameter(name="*")] = ReportOptions(),
    device: Device = "auto",
    cache: Path | None = None,
    json: bool = False,
) -> None:
    """Score a run by participant and by image, with intervals, beside the floors.

    Example: vit-dementia evaluate runs/first

    Args:
        run: a finished run folder.
        data: its scans, if they have moved since.
        role: whose participants to score.
        positive: classes to tell from the others: A,B [default: all but the first].
        device: where to compute.
        cache: folder for decoded scans [default: the user's cache folder].
        json: print metrics.json on stdout.
    """
    from vit_dementia.training.run_folder import RunFolder
    from vit_dementia.workflows import evaluate as workflow

    folder = workflow.evaluate(
        RunFolder.open(run),
        role=role,
        data=None if data is None else read_cohort(data, cohort),
        positive=names_in(positive),
        device=device,
        cache=cache,
        options=report,
        watch=watch_for_people(),
    )
    tell_scores(folder, as_json=json)
