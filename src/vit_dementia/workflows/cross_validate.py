"""Train and score every fold; pool what was said of people who were not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vit_dementia import recipes
from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import Split, k_folds
from vit_dementia.errors import ConfigError, Interrupted
from vit_dementia.evaluation.calibrated import LEVEL
from vit_dementia.inference.compute import described
from vit_dementia.inference.folds import write_crossed
from vit_dementia.progress import Quiet, Watch
from vit_dementia.training import run as training
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.training.start import refuse_unusable
from vit_dementia.workflows.choice import (
    as_texts,
    choices_of,
    choose,
    refuse_unfit,
    told_of,
)
from vit_dementia.workflows.evaluate import keep_sets, write_evaluation
from vit_dementia.workflows.guard import guarded
from vit_dementia.workflows.pooling import crossed, fold_of, pooled
from vit_dementia.workflows.pretrain import RECIPE as PRETRAINING
from vit_dementia.workflows.pretrain import pretrained, pretraining_in
from vit_dementia.workflows.report.options import ReportOptions
from vit_dementia.workflows.report.study import OUT_OF_FOLD, study_of
from vit_dementia.workflows.scoring import Scored, read_run, score_part


def cross_validate(
    cohort: Cohort,
    config: RunConfig | None = None,
    *,
    out: Path,
    choices: Mapping[str, RunConfig] | None = None,
    pretraining: RunConfig | None = None,
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
        choices: instead of ``config``: settings by the name of their recipe, of which
            every fold keeps what its own validation part prefers.
        pretraining: how to pre-train, without labels, on the training participants of
            each fold, as ``pretraining_of`` gives it.
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
    choices = choices or {}
    if choices and pretraining:
        raise ConfigError(
            "cross-validate: found --pretrain beside --recipes; needs one recipe"
        )
    config = next(iter(choices.values()), config or RunConfig())
    RunFolder.refuse_taken(out)
    for one in choices.values() or (pretraining or config,):
        refuse_unusable(one)
    split = split or k_folds(
        cohort, folds=folds, val=config.data.val, seed=config.seed, repeats=repeats
    )
    if choices:
        refuse_unfit(choices, split)
    split = guarded(cohort, split, config, every_fold=True, cache=cache, watch=watch)
    beside = as_texts(choices)
    if pretraining is not None:
        beside |= {PRETRAINING: recipes.to_toml(pretraining)}
    whole = RunFolder.create(out, config, cohort, split, beside=beside)
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
    draws, choices = draws_of(split), choices_of(whole.path)
    parts = [
        [
            _fold(
                whole,
                cohort,
                split,
                fold,
                choices=choices,
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
            pooled(scored),
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
            fold_of=fold_of(scored),
            choice=told_of(whole.path, draws[number]) if choices else None,
        )
        written.insert(0, folder)
    scored = dict(zip(draws[0], parts[0], strict=True))
    write_crossed(whole.path, crossed(scored, positive=positive, level=level))
    return written[0]


def _fold(
    whole: RunFolder,
    cohort: Cohort,
    split: Split,
    fold: int,
    *,
    choices: Mapping[str, RunConfig],
    positive: Sequence[str] | None,
    level: float,
    cache: Path | None,
    watch: Watch,
) -> Scored:
    """Train one fold, or take up its run, and score its test part."""
    watch.say(f"fold {fold + 1} of {len(split.folds)}")
    path = whole.path / "folds" / str(fold)
    pretraining = pretraining_in(whole.path)

    def trained(config: RunConfig, out: Path) -> RunFolder:
        if out.exists():
            return training.resume(out, cohort=cohort, cache=cache, watch=watch)
        config = replace(config, fold=fold)
        if pretraining is not None:
            config = pretrained(
                whole.path,
                config,
                pretraining,
                cohort=cohort,
                split=split,
                cache=cache,
                watch=watch,
            )
        return training.train(
            cohort,
            config,
            out=out,
            split=split,
            cache=cache,
            watch=watch,
        )

    try:
        if choices and not path.exists():
            run = choose(whole.path, fold, choices, trained)
        else:
            run = trained(whole.config, path)
    except Interrupted as stopped:
        go_on = f"vit-dementia cross-validate --resume {whole.path}"
        raise stopped.by(go_on) from None
    reading = read_run(
        run, data=cohort, device=whole.config.device, cache=cache, watch=watch
    )
    scored = score_part(reading, "test", positive=positive, seed=whole.config.seed)
    keep_sets(run, scored, level=level)
    return scored
