"""Train and score every fold; pool what was said of people who were not trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import Split, k_folds
from vit_dementia.evaluation.calibrated import LEVEL
from vit_dementia.evaluation.lines import Line
from vit_dementia.evaluation.permuted import Relearned
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.inference.compute import described
from vit_dementia.progress import Quiet, Watch
from vit_dementia.training import run as training
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.evaluate import keep_sets, write_evaluation
from vit_dementia.workflows.guard import guarded
from vit_dementia.workflows.report.options import ReportOptions
from vit_dementia.workflows.report.study import OUT_OF_FOLD, study_of
from vit_dementia.workflows.scoring import Scored, read_run, score_part


def cross_validate(
    cohort: Cohort,
    config: RunConfig | None = None,
    *,
    out: Path,
    folds: int = 5,
    repeats: int = 1,
    split: Split | None = None,
    positive: Sequence[str] | None = None,
    prevalence: float | None = None,
    level: float = LEVEL,
    cache: Path | None = None,
    options: ReportOptions | None = None,
    watch: Watch | None = None,
) -> Path:
    """Train and test every fold; return the folder with the pooled evaluation.

    ``out`` is a run folder without a model of its own: the folds are runs in
    ``out/folds/``, and ``out/evaluation/out-of-fold`` holds the pooled predictions,
    each participant scored once, by the model that never saw them. Repetitions have
    ``out-of-fold-2`` and so on beside it, and their spread stands in the first.

    Args:
        cohort: every scan there is.
        config: settings of every fold; ``fold`` is set for each.
        out: a new folder.
        folds: how many, if no split is given.
        repeats: how often all folds are drawn anew, if no split is given.
        split: the folds; made (and saved) if left out.
        positive: the classes to tell from the others; by default all but the first.
        prevalence: share of people with the condition where the model would be used.
        level: how often a prediction set is to hold the truth.
        cache: where decoded scans are kept.
        options: what the report may show, and what is known beside the data.
        watch: who is told of the progress.

    Raises:
        VitDementiaError: as ``training.run.train``.
    """
    config = config or RunConfig()
    RunFolder.refuse_taken(out)
    split = split or k_folds(
        cohort, folds=folds, val=config.data.val, seed=config.seed, repeats=repeats
    )
    split = guarded(cohort, split, config, every_fold=True, cache=cache, watch=watch)
    whole = RunFolder.create(out, config, cohort, split)
    return _run_folds(
        whole,
        cohort,
        split,
        positive=positive,
        prevalence=prevalence,
        level=level,
        cache=cache,
        options=options,
        watch=watch or Quiet(),
    )


def resume_cross_validation(
    path: Path,
    *,
    cohort: Cohort | None = None,
    positive: Sequence[str] | None = None,
    prevalence: float | None = None,
    level: float = LEVEL,
    cache: Path | None = None,
    options: ReportOptions | None = None,
    watch: Watch | None = None,
) -> Path:
    """Go on with a cross-validation where it stopped, to the same result."""
    whole = RunFolder.open(path)
    cohort = whole.cohort(moved_to=cohort)
    return _run_folds(
        whole,
        cohort,
        whole.split(cohort),
        positive=positive,
        prevalence=prevalence,
        level=level,
        cache=cache,
        options=options,
        watch=watch or Quiet(),
    )


def draws_of(split: Split) -> list[list[int]]:
    """Return the folds of each repetition: nobody is tested twice in one.

    >>> from vit_dementia.data.splits import Fold
    >>> parts = [Fold(("b",), (), ("a",)), Fold(("a",), (), ("b",))]
    >>> draws_of(Split("participant", 0, (*parts, *parts), "x"))
    [[0, 1], [2, 3]]
    """
    draws: list[list[int]] = []
    tested: set[str] = set()
    for number, fold in enumerate(split.folds):
        if not draws or tested & set(fold.test):
            draws.append([])
            tested = set()
        draws[-1].append(number)
        tested |= set(fold.test)
    return draws


def _run_folds(
    whole: RunFolder,
    cohort: Cohort,
    split: Split,
    *,
    positive: Sequence[str] | None,
    prevalence: float | None,
    level: float,
    cache: Path | None,
    options: ReportOptions | None,
    watch: Watch,
) -> Path:
    draws = draws_of(split)
    parts = [
        [
            _fold(
                whole,
                cohort,
                split,
                fold,
                positive=positive,
                level=level,
                cache=cache,
                watch=watch,
            )
            for fold in draw
        ]
        for draw in draws
    ]
    written: list[Path] = []
    # The first repetition is written last: it says how far all of them are apart.
    for number in reversed(range(len(draws))):
        scored = dict(zip(draws[number], parts[number], strict=True))
        first = parts[number][0]
        name = OUT_OF_FOLD + (f"-{number + 1}" if number else "")
        folder = write_evaluation(
            whole.evaluation(name),
            _pooled(scored),
            positive=positive,
            prevalence=prevalence,
            level=level,
            repeats=() if number else written,
            study=study_of(
                whole,
                OUT_OF_FOLD,
                readable=first.cohort,
                device=described(first.fabric),
                options=options,
            ),
            scans=cohort.root if options and options.show_scans else None,
            seed=whole.config.seed,
            fold_of=_fold_of(scored),
        )
        written.insert(0, folder)
    return written[0]


def _fold(
    whole: RunFolder,
    cohort: Cohort,
    split: Split,
    fold: int,
    *,
    positive: Sequence[str] | None,
    level: float,
    cache: Path | None,
    watch: Watch,
) -> Scored:
    """Train one fold, or take up its run, and score its test part."""
    watch.say(f"fold {fold + 1} of {len(split.folds)}")
    path = whole.path / "folds" / str(fold)
    if path.exists():
        run = training.resume(path, cohort=cohort, cache=cache, watch=watch)
    else:
        run = training.train(
            cohort,
            replace(whole.config, fold=fold),
            out=path,
            split=split,
            cache=cache,
            watch=watch,
        )
    reading = read_run(
        run, data=cohort, device=whole.config.device, cache=cache, watch=watch
    )
    scored = score_part(reading, "test", positive=positive, seed=whole.config.seed)
    keep_sets(run, scored, level=level)
    return scored


def _fold_of(parts: Mapping[int, Scored]) -> dict[str, int]:
    """Say in which fold each participant, and each scan, was scored."""
    return {
        str(name): fold
        for fold, part in parts.items()
        for column in ("path", "participant_id")
        for name in part.predictions.table[column]
    }


def _pooled(parts: Mapping[int, Scored]) -> Scored:
    """Put the test parts of some folds in one table."""

    def together(predictions: Sequence[Predictions]) -> Predictions:
        tables = [part.table for part in predictions]
        return Predictions(predictions[0].classes, pd.concat(tables, ignore_index=True))

    every = list(parts.values())
    floors = set.intersection(*(set(part.floors) for part in every))
    again = set.intersection(*(set(part.relearned) for part in every))
    lines = set.intersection(*(set(part.lines) for part in every))
    return replace(
        every[0],
        predictions=together([part.predictions for part in every]),
        floors={
            name: together([part.floors[name] for part in every])
            for name in every[0].floors
            if name in floors
        },
        relearned={
            name: Relearned.together([part.relearned[name] for part in every])
            for name in every[0].relearned
            if name in again
        },
        lines={
            name: _line_of_folds(name, parts)
            for name in every[0].lines
            if name in lines
        },
        said={
            "said": _said([part.calibration.scaling.method for part in every]),
            "by_fold": {str(fold): part.said for fold, part in parts.items()},
        },
    )


def _line_of_folds(name: str, parts: Mapping[int, Scored]) -> Line:
    thresholds = {str(fold): part.lines[name].threshold for fold, part in parts.items()}
    alone = {n: value for n, value in thresholds.items() if isinstance(value, float)}
    return Line(alone, "the validation participants of each fold")


def _said(methods: Sequence[str]) -> str:
    """Say how the folds' probabilities were mended.

    >>> _said(["none", "temperature", "temperature"])
    'scaled in each fold on its own validation participants (2 temperature, 1 none)'
    """
    counted = ", ".join(f"{n} {name}" for name, n in Counter(methods).most_common())
    return f"scaled in each fold on its own validation participants ({counted})"
