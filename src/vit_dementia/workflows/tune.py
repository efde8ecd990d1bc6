"""A search for settings, judged by people who neither train nor test.

Optuna (Akiba et al. 2019, arXiv 1907.10902) draws the settings, by its tree-structured
Parzen estimator, and stops a training that does worse than most did by that epoch. What
it draws for a trial hangs on the seed, the number of the trial and the trials before it
alone, and it keeps all of them in a file: a search that was killed goes on with the
training it was in, to the trials it would have made.

The people of the test part are taken out before a scan is read: no trial can see them.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import Fold, Split, roles
from vit_dementia.errors import ConfigError, DivergenceError
from vit_dementia.progress import Logged, Quiet, Watch
from vit_dementia.training import run as training
from vit_dementia.training.history import EpochRecord, read_history
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.guard import guarded
from vit_dementia.workflows.tune_limits import Limits
from vit_dementia.workflows.tune_result import Found, Trial, kept_of
from vit_dementia.workflows.tune_space import (
    Range,
    Space,
    default_space,
    read_space,
    said,
    value_of,
    with_values,
    write_space,
)
from vit_dementia.workflows.tune_study import database_faults_raised, open_study

if TYPE_CHECKING:
    import optuna

SPACE = "space.toml"
STUDY = "study.db"


def tune(
    cohort: Cohort,
    config: RunConfig,
    *,
    out: Path,
    limits: Limits,
    space: Space | None = None,
    split: Split | None = None,
    cache: Path | None = None,
    watch: Watch | None = None,
) -> Found:
    """Search for settings and return the trials, written, with the best as a recipe.

    Args:
        cohort: every scan there is.
        config: the settings that the search does not choose; they are its first trial.
        out: a new folder.
        limits: when to stop.
        space: what may be chosen; the default space if left out.
        split: who trains, who chooses and who is left out; made if left out.
        cache: where decoded scans are kept.
        watch: who is told of the progress.

    Raises:
        ConfigError: if there is nobody to choose by, or the settings ask to watch the
            test part.
        VitDementiaError: as ``training.run.train``.
    """
    watch = watch or Quiet()
    RunFolder.refuse_taken(out)
    _refuse(config)
    split = guarded(cohort, split, config, cache=cache, watch=watch)
    _refuse_nobody(split, config)
    space = default_space(config) if space is None else space
    folder = RunFolder.create(out, config, cohort, split)
    write_space(folder.path / SPACE, space)
    return _search(folder, cohort, space, limits, cache=cache, watch=watch)


def resume_tuning(
    path: Path,
    *,
    limits: Limits,
    cohort: Cohort | None = None,
    cache: Path | None = None,
    watch: Watch | None = None,
) -> Found:
    """Go on with a search where it stopped."""
    folder = RunFolder.open(path)
    return _search(
        folder,
        folder.cohort(moved_to=cohort),
        read_space(path / SPACE),
        limits,
        cache=cache,
        watch=watch or Quiet(),
    )


def without_test(cohort: Cohort, split: Split, fold: int) -> tuple[Cohort, Split]:
    """Return cohort and split of one fold without whoever is in its test part."""
    chosen = split.folds[fold]
    role_of_row = roles(cohort, chosen)
    left = cohort.select((role_of_row == "train") | (role_of_row == "val"))
    part = Fold(chosen.train, chosen.val)
    return left, Split(split.unit, split.seed, (part,), left.fingerprint)


def _refuse(config: RunConfig) -> None:
    faults = []
    if config.train.watch_test:
        faults.append(
            "train.watch_test: found true; a search never sees the test part; leave it"
            " out"
        )
    if not config.train.epochs:
        faults.append("train.epochs: found 0; a search needs 1 or more to choose by")
    if faults:
        raise ConfigError(*faults)


def _refuse_nobody(split: Split, config: RunConfig) -> None:
    if 0 <= config.fold < len(split.folds) and not split.folds[config.fold].val:
        raise ConfigError(
            "tune: the split has no validation part, and nothing else may choose; "
            "needs --data.val above 0, or a split file with one"
        )


class _TimeIsUp(Exception):  # noqa: N818  # a signal, caught below
    """The sitting is over; the trial goes on in the next one."""


@dataclass(frozen=True)
class _Search:
    """What every trial needs.

    Attributes:
        watch: who is told of the search; its log keeps that.
        terminal: who is told of the training in a trial, whose own log keeps it; what
            was left out names files, and stands in no log.
    """

    folder: RunFolder
    config: RunConfig
    cohort: Cohort
    split: Split
    study: optuna.Study
    ends: float
    cache: Path | None
    watch: Watch
    terminal: Watch

    def train(self, trial: optuna.Trial) -> None:
        """Train with the settings of a trial, or go on with it, and tell its score."""
        import optuna

        path = self.folder.path / "trials" / str(trial.number)
        self.watch.say(f"trial {trial.number}: {said(trial.params)}")
        try:
            self._train(path, with_values(self.config, trial.params), self._told(trial))
        except optuna.TrialPruned:
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            self.watch.say(f"trial {trial.number}: stopped, behind most others")
        except DivergenceError as error:
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            self.watch.say(f"trial {trial.number}: {error}")
        else:
            kept = kept_of(read_history(path / "history.jsonl"))
            self.study.tell(trial, kept.balanced_accuracy)
            self.watch.say(f"trial {trial.number}: {kept.sentence()}")
        for large in ("checkpoints", "model", "tensorboard"):
            shutil.rmtree(path / large, ignore_errors=True)

    def _train(
        self, path: Path, config: RunConfig, after_epoch: Callable[[EpochRecord], None]
    ) -> None:
        if path.exists():
            training.resume(
                path,
                cohort=self.cohort,
                cache=self.cache,
                watch=self.terminal,
                after_epoch=after_epoch,
            )
        else:
            training.train(
                self.cohort,
                replace(config, fold=0),
                out=path,
                split=self.split,
                cache=self.cache,
                watch=self.terminal,
                after_epoch=after_epoch,
            )

    def _told(self, trial: optuna.Trial) -> Callable[[EpochRecord], None]:
        """Return what tells the study of an epoch, and ends the trial if it should."""
        import optuna

        path = self.folder.path / "trials" / str(trial.number) / "history.jsonl"

        def after_epoch(record: EpochRecord) -> None:
            kept = kept_of(read_history(path))
            trial.report(kept.balanced_accuracy or 0.0, step=record.epoch)
            is_last = record.epoch == self.config.train.epochs
            if not is_last and trial.should_prune():
                raise optuna.TrialPruned
            if time.monotonic() > self.ends:
                raise _TimeIsUp

        return after_epoch


def _search(
    folder: RunFolder,
    cohort: Cohort,
    space: Space,
    limits: Limits,
    *,
    cache: Path | None,
    watch: Watch,
) -> Found:
    config, terminal = folder.config, watch
    watch = Logged(terminal, folder.path / "log.txt")
    left, split = without_test(cohort, folder.split(cohort), config.fold)
    ends = time.monotonic() + 60 * (limits.minutes or float("inf"))
    with database_faults_raised(folder.path / STUDY):
        study = open_study(folder.path / STUDY, config.train.epochs)
        search = _Search(
            folder, config, left, split, study, ends, cache, watch, terminal
        )
        while True:
            trial = _stopped(study)
            if trial is None and len(study.trials) >= limits.trials:
                break
            try:
                if time.monotonic() > ends:
                    raise _TimeIsUp
                search.train(trial or _next(study, space, config))
            except _TimeIsUp:
                watch.say(f"{limits.minutes:g} minutes are over: go on by --resume")
                break
        found = Found(folder, split, _trials(study, folder))
    found.write()
    watch.say(found.sentence())
    return found


def _stopped(study: optuna.Study) -> optuna.Trial | None:
    """Return the trial that a kill left in the middle, if there is one."""
    import optuna

    running = study.get_trials(states=(optuna.trial.TrialState.RUNNING,))
    return optuna.Trial(study, running[0]._trial_id) if running else None


def _next(study: optuna.Study, space: Space, config: RunConfig) -> optuna.Trial:
    """Draw the next trial: the settings as they are first, then what Optuna says."""
    import optuna

    number = len(study.trials)
    # Anew for each trial: what is drawn does not hang on draws before a stop.
    study.sampler = optuna.samplers.TPESampler(seed=config.seed * 1009 + number)
    if number == 0:
        as_they_are = {name: value_of(config, name) for name in sorted(space)}
        study.enqueue_trial(
            {n: value for n, value in as_they_are.items() if space[n].holds(value)}
        )
    return study.ask({name: _distribution(space[name]) for name in sorted(space)})


def _distribution(domain: Any) -> optuna.distributions.BaseDistribution:
    from optuna import distributions

    if not isinstance(domain, Range):
        return distributions.CategoricalDistribution(domain.values)
    if isinstance(domain.low, int) and isinstance(domain.high, int):
        return distributions.IntDistribution(domain.low, domain.high, log=domain.log)
    return distributions.FloatDistribution(domain.low, domain.high, log=domain.log)


def _trials(study: optuna.Study, folder: RunFolder) -> list[Trial]:
    return [
        Trial(
            number=trial.number,
            state=trial.state.name.lower(),
            values=dict(sorted(trial.params.items())),
            records=read_history(
                folder.path / "trials" / str(trial.number) / "history.jsonl"
            ),
        )
        for trial in study.trials
    ]
