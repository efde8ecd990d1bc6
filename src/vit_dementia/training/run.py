"""From settings and scans to a finished run folder, interrupted or not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import Split
from vit_dementia.errors import ConfigError
from vit_dementia.inference.compute import described, deterministic, make_fabric
from vit_dementia.launch import Strategy
from vit_dementia.models.description import Architecture
from vit_dementia.progress import Logged, Quiet, Watch
from vit_dementia.training.calibrate import calibrate
from vit_dementia.training.classification import Classification, refuse_unpoolable
from vit_dementia.training.disk import disk_faults_told, held
from vit_dementia.training.epochs import AfterEpoch, Training
from vit_dementia.training.feed import make_feed
from vit_dementia.training.goal import Goal
from vit_dementia.training.material import Material, make_split, read_material
from vit_dementia.training.memory import (
    batch_sentence,
    is_out_of_memory,
    too_large,
    with_batch_size,
)
from vit_dementia.training.optimizer import freeze
from vit_dementia.training.pretraining import Reconstruction
from vit_dementia.training.ranks import by_first, one_here_first
from vit_dementia.training.reconstructions import draw_reconstructions
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.training.start import begin_model, patch_size_of


def train(
    cohort: Cohort,
    config: RunConfig | None = None,
    *,
    out: Path,
    split: Split | None = None,
    cache: Path | None = None,
    watch: Watch | None = None,
    after_epoch: AfterEpoch | None = None,
    strategy: Strategy = "auto",
) -> RunFolder:
    """Train on a cohort and return the finished run.

    Args:
        cohort: every scan there is; the split says who trains.
        config: settings; the defaults if left out.
        out: a new folder.
        split: who trains, chooses and tests; made (and saved) if left out.
        cache: where decoded scans are kept; the user's cache folder if left out.
        watch: who is told of the progress.
        after_epoch: called with each epoch's record; the training ends by what it
            raises, and can be resumed.
        strategy: how processes that were started together share the work.

    Raises:
        LeakageError: if somebody stands on both sides of the split.
        DataError: if the scans cannot be trained on, or ``out`` is there already.
        ConfigError: if settings contradict one another or the data.
        CheckpointError: if the weights of ``config.init`` do not fit.
    """
    config, watch = config or RunConfig(), watch or Quiet()
    RunFolder.refuse_taken(out)
    split = split or make_split(cohort, config)
    training = prepare(cohort, split, config, cache, watch, strategy=strategy)

    def create() -> RunFolder:
        with disk_faults_told(out, "or give another folder by --out"):
            return RunFolder.create(out, training.config, cohort, split)

    folder = by_first(training.fabric, create)
    _run(training, folder, after_epoch)
    return folder


def resume(
    path: Path,
    *,
    config: RunConfig | None = None,
    cohort: Cohort | None = None,
    cache: Path | None = None,
    watch: Watch | None = None,
    after_epoch: AfterEpoch | None = None,
    strategy: Strategy = "auto",
) -> RunFolder:
    """Go on with a run where it stopped, to the weights of an unstopped one.

    Args:
        path: the run folder.
        config: settings that must be those of the run, if given.
        cohort: the scans, if they have moved since.
        cache: as for ``train``.
        watch: as for ``train``.
        after_epoch: as for ``train``.
        strategy: as for ``train``; not that of the run before, nor as many processes.

    Raises:
        ConfigError: if ``config`` differs from that of the run.
        DataError: if the folder is no run, or the scans are not those of the run.
    """
    folder = RunFolder.open(path)
    saved = folder.config
    if config is not None and (others := _differences(config, saved)):
        raise ConfigError(
            f"{path}: --resume goes on with the run's own settings; found other ones "
            f"for {', '.join(others)}; leave them out"
        )
    cohort = folder.cohort(moved_to=cohort)
    split = folder.split(cohort)
    training = prepare(cohort, split, saved, cache, watch or Quiet(), strategy=strategy)
    _run(training, folder, after_epoch)
    return folder


def _run(training: Training, folder: RunFolder, after_epoch: AfterEpoch | None) -> None:
    """Train, keeping every line that is said in the run's ``log.txt``."""
    if not training.fabric.is_global_zero:
        _train(training, folder)
        return
    go_on = (
        "what was saved before is kept; then go on with: vit-dementia train --resume "
        f"{folder.path}"
    )
    with disk_faults_told(folder.path, go_on), held(folder.path):
        watch = Logged(training.watch, folder.path / "log.txt")
        training = dataclasses.replace(training, watch=watch)
        if after_epoch is not None:
            training = dataclasses.replace(training, after_epoch=after_epoch)
        _train(training, folder)
        if isinstance(training.goal, Reconstruction):
            draw_reconstructions(training.goal, folder.path / "reconstructions.png")
        else:
            settings = training.config
            alone = make_fabric(settings.device, settings.train.precision)
            calibrate(training.material, folder, alone)


def _train(training: Training, folder: RunFolder) -> None:
    """Train; where memory is too small, say what would fit."""
    with deterministic(asked=training.config.train.deterministic):
        try:
            training.run(folder)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            return
    # Here the failed step is forgotten, and its memory free.
    of = training
    raise too_large(of.config, of.material, of.goal, of.fabric)


def prepare(
    cohort: Cohort,
    split: Split,
    config: RunConfig,
    cache: Path | None,
    watch: Watch,
    *,
    strategy: Strategy = "auto",
) -> Training:
    """Read and check everything a training needs; nothing is written yet.

    Raises:
        VitDementiaError: as ``train``.
    """
    if not 0 <= config.fold < len(split.folds):
        raise ConfigError(
            f"fold: found {config.fold}; the split has {len(split.folds)}, from 0"
        )
    refuse_unpoolable(config, cohort)
    fabric = make_fabric(config.device, config.train.precision, strategy=strategy)
    patch_size = patch_size_of(config)

    def read() -> Material:
        return read_material(
            cohort, split, config, patch_size=patch_size, cache=cache, watch=watch
        )

    material = one_here_first(fabric, read)  # the others find it in the cache
    model = begin_model(
        config,
        classes=cohort.classes if config.goal == "classify" else (),
        image_size=material.preprocessing.size,
    )
    visible = None
    if config.data.tokens == "foreground":
        visible = material.foreground(patch_size)
    model = model.seeing(visible)  # weights of another run may have left out others
    watch.say(_tokens(model.architecture, material.preprocessing.what))
    num_learning = freeze(model, config.train.freeze, depth=model.architecture.depth)
    num_all = sum(parameter.numel() for parameter in model.parameters())
    several = f", {fabric.world_size} processes" if fabric.world_size > 1 else ""
    watch.say(
        f"{num_all:,} parameters, {num_learning:,} of them learning, on "
        f"{described(fabric)}{several}"
    )

    def goal_of(config: RunConfig, watch: Watch) -> Goal:
        if config.goal == "reconstruct":
            return Reconstruction.of(config, material, model, fabric)
        feed = make_feed(config, material, model, fabric, cache=cache, watch=watch)
        return Classification(config, material, model, feed, fabric)

    if config.train.batch_size == "auto":
        config = with_batch_size(config, material, goal_of(config, Quiet()), fabric)
        watch.say(batch_sentence(config.train))
    return Training(config, material, goal_of(config, watch), fabric, watch)


def _tokens(a: Architecture, what: str) -> str:
    if a.visible is None:
        return f"reading all {a.num_patches} patches of a {what}"
    return (
        f"reading {len(a.visible)} of {a.num_patches} patches of a {what}: the others"
        f" are dark in the training {what}s (--tokens all reads all)"
    )


def _differences(found: RunConfig, saved: RunConfig) -> list[str]:
    """Name the settings in which two configurations differ."""
    names = []
    for field in dataclasses.fields(found):
        ours, theirs = getattr(found, field.name), getattr(saved, field.name)
        if dataclasses.is_dataclass(ours):
            inner = [f.name for f in dataclasses.fields(ours)]
            names += [
                f"{field.name}.{name}"
                for name in inner
                if getattr(ours, name) != getattr(theirs, name)
            ]
        elif ours != theirs:
            names.append(field.name)
    return names
