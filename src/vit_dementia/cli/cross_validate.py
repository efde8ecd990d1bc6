"""``vit-dementia cross-validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vit_dementia.cli.options import (
    CohortOptions,
    names_in,
    new_folder,
    read_cohort,
    tell,
)
from vit_dementia.cli.scores import tell_scores
from vit_dementia.cli.terminal import tell_of_pictures, watch_for_people
from vit_dementia.config import RunConfig
from vit_dementia.errors import ConfigError
from vit_dementia.evaluation.calibrated import LEVEL
from vit_dementia.launch import this_launch
from vit_dementia.workflows.report.options import ReportOptions


def cross_validate(
    data: Path | None = None,
    /,
    *,
    folds: int = 5,
    repeats: int = 1,
    config: Annotated[RunConfig, Parameter(name="*")] = RunConfig(),
    cohort: Annotated[CohortOptions, Parameter(name="*")] = CohortOptions(),
    report: Annotated[ReportOptions, Parameter(name="*")] = ReportOptions(),
    recipe: str | None = None,  # app.py reads it before the flags
    recipes: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    choices: Annotated[dict[str, RunConfig] | None, Parameter(parse=False)] = None,
    pretrain: str | None = None,
    split: Path | None = None,
    positive: str | None = None,
    prevalence: float | None = None,
    level: float = LEVEL,
    out: Path | None = None,
    resume: Path | None = None,
    cache: Path | None = None,
    json: bool = False,
) -> None:
    """Train and test every fold by participant; score what was said out of fold.

    Example: vit-dementia cross-validate data/ --folds 5 --recipe tiny

    Args:
        data: folders of images per class, or a table of them.
        folds: how many, if no split file is given.
        repeats: how often all folds are drawn anew, if no split file is given.
        recipe: name or TOML file of settings that lie between defaults and flags.
        recipes: several of them: each fold keeps the one that its validation part
            prefers.
        choices: what app.py makes of the recipes and the flags.
        pretrain: recipe, such as mae, by which each fold first pre-trains, without
            labels, on its own training participants.
        split: split file with the folds, read and verified.
        positive: classes to tell from the others: A,B [default: all but the first].
        prevalence: share of people with the condition in use, for PPV and NPV.
        level: how often a prediction set is to hold the truth.
        out: new folder [default: runs/TIME-cross-validate].
        resume: go on with this cross-validation where it stopped.
        cache: folder for decoded scans [default: the user's cache folder].
        json: print metrics.json on stdout.
    """
    from vit_dementia.data.splits import Split
    from vit_dementia.workflows import cross_validate as workflow
    from vit_dementia.workflows.pretrain import pretraining_of, read_pretraining

    if (number := this_launch().num_processes) > 1:
        raise ConfigError(
            f"cross-validate: found {number} processes; needs one; to train a fold by "
            "several: vit-dementia train --split FILE --fold K"
        )
    if data is None and resume is None:
        raise ConfigError("cross-validate: found no DATA; needs a folder or table")
    if recipes and (recipe or resume):
        other = "--recipe" if recipe else "--resume, which goes on with its own recipes"
        raise ConfigError(f"cross-validate: found --recipes and {other}; name one")
    scans = None if data is None else read_cohort(data, cohort)
    watch = watch_for_people()
    if resume is not None:
        folder = workflow.resume_cross_validation(
            resume,
            cohort=scans,
            positive=names_in(positive),
            prevalence=prevalence,
            level=level,
            cache=cache,
            options=report,
            watch=watch,
        )
    else:
        assert scans is not None
        tell(scans)
        folder = workflow.cross_validate(
            scans,
            config,
            out=new_folder(out, "cross-validate"),
            choices=choices,
            pretraining=None
            if pretrain is None
            else pretraining_of(config, read_pretraining(pretrain)),
            folds=folds,
            repeats=repeats,
            split=None if split is None else Split.read(split, scans),
            positive=names_in(positive),
            prevalence=prevalence,
            level=level,
            cache=cache,
            options=report,
            watch=watch,
        )
    tell_scores(folder, as_json=json)
    if report.show_scans:
        tell_of_pictures()
