"""``vit-dementia evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from vit_dementia.cli.options import (
    CohortOptions,
    names_in,
    new_folder,
    read_cohort,
)
from vit_dementia.cli.scores import tell_scores
from vit_dementia.cli.terminal import tell_of_pictures, watch_for_people
from vit_dementia.data.cohort import Cohort
from vit_dementia.errors import ConfigError
from vit_dementia.evaluation.calibrated import LEVEL
from vit_dementia.inference.compute import Device
from vit_dementia.workflows.report.options import ReportOptions

Role = Literal["train", "val", "test"]


def evaluate(
    run: Path | None = None,
    data: Path | None = None,
    /,
    *,
    role: Role = "test",
    predictions: Path | None = None,
    positive: str | None = None,
    prevalence: float | None = None,
    level: float = LEVEL,
    robustness: bool = False,
    explain: bool = False,
    cohort: Annotated[CohortOptions, Parameter(name="*")] = CohortOptions(),
    report: Annotated[ReportOptions, Parameter(name="*")] = ReportOptions(),
    device: Device = "auto",
    cache: Path | None = None,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Score a run by participant and by image, with intervals, beside the floors.

    Example: vit-dementia evaluate runs/first --prevalence 0.1

    Args:
        run: a finished run folder.
        data: its scans, if they have moved since; or other people's, for an external
            test.
        role: whose participants to score.
        predictions: instead of a run: a table of any tool, with label and p_<class>.
        positive: classes to tell from the others: A,B [default: all but the first].
        prevalence: share of people with the condition in use, for PPV and NPV.
        level: how often a prediction set is to hold the truth.
        robustness: score the same scans also with noise, blur and so on.
        explain: draw on the report's examples what their answers hang on, and say how
            faithful the maps are; with --show-scans.
        device: where to compute.
        cache: folder for decoded scans [default: the user's cache folder].
        out: folder for the scores of a table [default: runs/TIME-evaluate].
        json: print metrics.json on stdout.
    """
    if (run is None) == (predictions is None):
        raise ConfigError("evaluate: needs a RUN, or --predictions FILE instead of it")
    if explain and run is None:
        raise ConfigError("--explain: a table has no model to explain; needs a RUN")
    asked: Any = {
        "positive": names_in(positive),
        "prevalence": prevalence,
        "level": level,
    }
    if predictions is not None:
        from vit_dementia.workflows.evaluate_table import evaluate_table

        folder = evaluate_table(
            predictions,
            out=new_folder(out, "evaluate"),
            classes=names_in(cohort.classes),
            **asked,
        )
    else:
        assert run is not None
        scans = None if data is None else read_cohort(data, cohort)
        asked |= {
            "robustness": robustness,
            "explain": explain,
            "device": device,
            "cache": cache,
            "watch": watch_for_people(),
        }
        folder = _of_run(run, scans, role, report, asked)
    tell_scores(folder, as_json=json)
    if report.show_scans and run is not None:
        tell_of_pictures()


def _of_run(
    path: Path, scans: Cohort | None, role: Role, report: ReportOptions, asked: Any
) -> Path:
    from vit_dementia.training.run_folder import RunFolder
    from vit_dementia.workflows.evaluate import evaluate as on_its_own
    from vit_dementia.workflows.external import evaluate_external, is_external

    run = RunFolder.open(path)
    if scans is not None and is_external(run, scans):
        return evaluate_external(run, scans, options=report, **asked)
    return on_its_own(run, role=role, data=scans, options=report, **asked)
