"""Pre-train without labels, alone or inside each fold of a cross-validation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from vit_dementia import recipes
from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import Split
from vit_dementia.errors import ConfigError
from vit_dementia.progress import Watch
from vit_dementia.training import run as training
from vit_dementia.training.run_folder import RunFolder

RECIPE = "pretraining.toml"  # in the folder of a cross-validation
FOLDER = "pretraining"  # beside ``folds``: a run for each
# What a recipe may set for the pre-training of a fold: the rest is the fold's own.
_ITS_OWN: dict[str, tuple[str, ...]] = {
    "train": (),  # all of the table
    "augment": (),
    "mask": (),
    "data": ("slices_per_participant",),
}


def pretrain(
    cohort: Cohort,
    config: RunConfig | None = None,
    *,
    out: Path,
    split: Split | None = None,
    cache: Path | None = None,
    watch: Watch | None = None,
) -> RunFolder:
    """Teach an encoder to fill in hidden patches; return the run for ``init``.

    Only the participants in ``train`` are learned from, and only those in ``val`` are
    looked at beside them: whoever is kept for a test stays unseen.

    Args:
        cohort: the scans; labels are not needed.
        config: settings; the defaults if left out.
        out: a new folder.
        split: who trains, chooses and tests; drawn as ``train`` draws it if left out.
        cache: where decoded scans are kept.
        watch: who is told of the progress.

    Raises:
        VitDementiaError: as ``training.run.train``.
    """
    config = replace(config or RunConfig(), goal="reconstruct")
    return training.train(
        cohort, config, out=out, split=split, cache=cache, watch=watch
    )


def read_pretraining(name_or_file: str) -> dict[str, Any]:
    """Return what a recipe sets for the pre-training inside each fold.

    Raises:
        ConfigError: if it sets what is the fold's own, such as the model.
    """
    settings = recipes.read_recipe(name_or_file)
    others = [
        f"{table}.{key}" if isinstance(value, dict) else table
        for table, value in settings.items()
        for key in (value if isinstance(value, dict) else [""])
        if table not in _ITS_OWN or key not in (_ITS_OWN[table] or value)
    ]
    if others:
        raise ConfigError(
            f"--pretrain {name_or_file}: sets {', '.join(others)}; inside a fold these "
            "are as in the training that follows; leave them out of this recipe"
        )
    return settings


def pretraining_of(config: RunConfig, settings: dict[str, Any]) -> RunConfig:
    """Return the settings of a fold's pre-training.

    Model, first weights, seed and the size of pictures are those of the training that
    follows; nothing is dropped out, as nothing is memorized of labels.

    >>> config = RunConfig(model="ViT-Ti/16", seed=3)
    >>> told = pretraining_of(config, {"train": {"epochs": 9}})
    >>> told.goal, told.model, told.seed, told.train.epochs
    ('reconstruct', 'ViT-Ti/16', 3, 9)
    """
    own = recipes.config_from(settings, where="--pretrain")
    return replace(
        own,
        goal="reconstruct",
        model=config.model,
        init=config.init,
        seed=config.seed,
        device=config.device,
        fold=config.fold,
        allow_leakage=config.allow_leakage,
        vit=replace(config.vit, dropout=0.0, attention_dropout=0.0, drop_path=0.0),
        data=replace(
            config.data, slices_per_participant=own.data.slices_per_participant
        ),
    )


def pretraining_in(path: Path) -> RunConfig | None:
    """Return how a cross-validation pre-trains in each fold; None if it does not."""
    file = path / RECIPE
    return recipes.from_toml(file) if file.is_file() else None


def pretrained(
    path: Path,
    config: RunConfig,
    pretraining: RunConfig,
    *,
    cohort: Cohort,
    split: Split,
    cache: Path | None,
    watch: Watch,
) -> RunConfig:
    """Pre-train on a fold's training participants; return settings that begin there.

    Args:
        path: of the cross-validation; what was begun there is taken up.
        config: of the fold.
        pretraining: as ``pretraining_of`` gives it.
        cohort: every scan there is.
        split: the folds.
        cache: where decoded scans are kept.
        watch: who is told of the progress.
    """
    out = path / FOLDER / str(config.fold)
    watch.say(f"pre-training on the training participants of fold {config.fold + 1}")
    if out.exists():
        training.resume(out, cohort=cohort, cache=cache, watch=watch)
    else:
        pretrain(
            cohort,
            replace(pretraining, fold=config.fold),
            out=out,
            split=split,
            cache=cache,
            watch=watch,
        )
    return replace(config, model=None, init=str(out))
