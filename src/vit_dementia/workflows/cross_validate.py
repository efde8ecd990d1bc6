"""Train and score every fold; pool what was said of people who were not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import Split, k_folds
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.progress import Quiet, Watch
from vit_dementia.training import run as training
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.evaluate import Scored, score_part, write_evaluation
from vit_dementia.workflows.report_options import ReportOptions
from vit_dementia.workflows.report_study import OUT_OF_FOLD, study_of


def cross_validate(
    cohort: Cohort,
    config: RunConfig | None = None,
    *,
    out: Path,
    folds: int = 5,
    split: Split | None = None,
    positive: Sequence[str] | None = None,
    cache: Path | None = None,
    options: ReportOptions | None = None,
    watch: Watch | None = None,
) -> Path:
    """Train and test every fold; return the folder with the pooled evaluation.

    ``out`` is a run folder without a model of its own: the folds are runs in
    ``out/folds/``, and ``out/evaluation/out-of-fold`` holds the pooled predictions,
    each participant scored once, by the model that never saw them.

    Args:
        cohort: every scan there is.
        config: settings of every fold; ``fold`` is set for each.
        out: a new folder.
        folds: how many, if no split is given.
        split: the folds; made (and saved) if left out.
        positive: the classes to tell from the others; by default all but the first.
        cache: where decoded scans are kept.
        options: what the report may show, and what is known beside the data.
        watch: who is told of the progress.

    Raises:
        VitDementiaError: as ``training.run.train``.
    """
    config = config or RunConfig()
    RunFolder.refuse_taken(out)
    split = split or k_folds(cohort, folds=folds, val=config.data.val, seed=config.seed)
    whole = RunFolder.create(out, config, cohort, split)
    return _run_folds(
        whole,
        cohort,
        split,
        positive=positive,
        cache=cache,
        options=options,
        watch=watch or Quiet(),
    )


def resume_cross_validation(
    path: Path,
    *,
    cohort: Cohort | None = None,
    positive: Sequence[str] | None = None,
    cache: Path | None = None,
    options: ReportOptions | None = None,
    watch: Watch | None = None,
) -> Path:
    """Go on with a cross-validation where it stopped, to the same result."""
    whole = RunFolder.open(path)
    cohort = whole.cohort(moved_to=cohort)
    split = whole.split(cohort)
    return _run_folds(
        whole,
        cohort,
        split,
        positive=positive,
        cache=cache,
        options=options,
        watch=watch or Quiet(),
    )


def _run_folds(
    whole: RunFolder,
    cohort: Cohort,
    split: Split,
    *,
    positive: Sequence[str] | None,
    cache: Path | None,
    options: ReportOptions | None,
    watch: Watch,
) -> Path:
    config, parts = whole.config, []
    for fold in range(len(split.folds)):
        watch.say(f"fold {fold + 1} of {len(split.folds)}")
        path = whole.path / "folds" / str(fold)
        if path.exists():
            run = training.resume(path, cohort=cohort, cache=cache, watch=watch)
        else:
            run = training.train(
                cohort,
                replace(config, fold=fold),
                out=path,
                split=split,
                cache=cache,
                watch=watch,
            )
        parts.append(
            score_part(
                run,
                role="test",
                data=cohort,
                device=config.device,
                cache=cache,
                watch=watch,
            )
        )
    return write_evaluation(
        whole.evaluation(OUT_OF_FOLD),
        _pooled(parts),
        positive=positive,
        history=[],
        study=study_of(
            whole,
            OUT_OF_FOLD,
            readable=parts[0].cohort,
            device=parts[0].device,
            options=options,
        ),
        scans=cohort.root if options and options.show_scans else None,
        seed=config.seed,
        fold_of=_fold_of([part.predictions for part in parts]),
    )


def _fold_of(parts: Sequence[Predictions]) -> dict[str, int]:
    """Say in which fold each participant, and each scan, was scored."""
    return {
        str(name): fold
        for fold, part in enumerate(parts)
        for column in ("path", "participant_id")
        for name in part.table[column]
    }


def _pooled(parts: Sequence[Scored]) -> Scored:
    """Put the test parts of all folds in one table."""

    def together(predictions: Sequence[Predictions]) -> Predictions:
        tables = [part.table for part in predictions]
        return Predictions(predictions[0].classes, pd.concat(tables, ignore_index=True))

    shared = set.intersection(*(set(part.floors) for part in parts))
    return replace(
        parts[0],
        predictions=together([part.predictions for part in parts]),
        floors={
            name: together([part.floors[name] for part in parts])
            for name in parts[0].floors
            if name in shared
        },
        role_of_row=np.full(len(parts[0].cohort), "test"),
    )
