"""Nested choice: every fold keeps the recipe that its validation participants prefer.

All recipes are trained in every fold. The one whose kept epoch has the best balanced
accuracy on the fold's own validation part (the lower loss among equals, then the first
named) becomes the fold's run; those who are tested in the fold have no say, so that the
out-of-fold score is that of the whole procedure, choice included.

In the folder of the cross-validation ``recipes/NAME.toml`` holds the settings of each,
``choices/FOLD/NAME`` the runs that were not chosen, and ``choices/FOLD/choice.json``::

    {"format": 1, "chosen": NAME, "measure": "validation balanced accuracy",
     "validation": {NAME: {"balanced_accuracy": 0.71, "loss": 0.9}}}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vit_dementia import recipes
from vit_dementia.config import RunConfig
from vit_dementia.data.splits import Split
from vit_dementia.errors import ConfigError, DataError
from vit_dementia.files import read_json, write_json
from vit_dementia.models.weights.native import CONFIG
from vit_dementia.training.history import EpochRecord, read_history
from vit_dementia.training.run_folder import RunFolder

FORMAT = 1
MEASURE = "validation balanced accuracy"
_RECIPES = "recipes"
_CHOICES = "choices"

Choices = Mapping[str, RunConfig]
Train = Callable[[RunConfig, Path], RunFolder]  # also goes on with a run that is there


def refuse_unfit(choices: Choices, split: Split) -> None:
    """Raise ConfigError if there is nothing to choose among, or nobody to choose.

    Args:
        choices: settings by the name of the recipe.
        split: the folds.
    """
    faults = []
    if len(choices) < 2:
        faults.append(
            f"recipes: found one, {', '.join(choices)}; two or more are needed"
        )
    empty = [str(number) for number, fold in enumerate(split.folds) if not fold.val]
    if empty:
        faults.append(
            f"recipes: fold {', '.join(empty)} of the split has no validation part; one"
            " is needed to choose by (--data.val)"
        )
    faults += [
        f"recipes: {name} differs among them; one is needed for all"
        for name in ("seed", "allow_leakage")
        if len({getattr(config, name) for config in choices.values()}) > 1
    ]
    if faults:
        raise ConfigError.of(faults)


def as_texts(choices: Choices) -> dict[str, str]:
    """Return the files that tell the choices again, by their names in the folder."""
    return {
        f"{_RECIPES}/{place}-{name}.toml": recipes.to_toml(config)
        for place, (name, config) in enumerate(choices.items())
    }


def choices_of(path: Path) -> dict[str, RunConfig]:
    """Return the recipes of a cross-validation, in order; none if it has no choice."""
    files = (path / _RECIPES).glob("*.toml")
    placed = {int(file.name.partition("-")[0]): file for file in files}
    return {
        placed[place].stem.partition("-")[2]: recipes.from_toml(placed[place])
        for place in sorted(placed)
    }


def choose(whole: Path, fold: int, choices: Choices, train: Train) -> RunFolder:
    """Train every recipe in one fold and move the best to ``folds/FOLD``.

    Args:
        whole: folder of the cross-validation.
        fold: its number.
        choices: settings by the name of the recipe.
        train: trains settings into a folder, or goes on with the run that is there.

    Raises:
        DataError: if the fold has no validation part.
    """
    place = whole / _CHOICES / str(fold)
    kept = {name: _kept(train(choices[name], place / name)) for name in choices}
    silent = [name for name, epoch in kept.items() if epoch is None]
    if silent:
        raise DataError(
            f"{place}: nobody validates in this fold; needs a validation part to choose"
            " a recipe by"
        )
    scores = {
        name: {
            "balanced_accuracy": epoch.val_balanced_accuracy or 0.0,
            "loss": epoch.val_loss,
        }
        for name, epoch in kept.items()
        if epoch is not None
    }
    best = max(
        scores,
        key=lambda name: (
            scores[name]["balanced_accuracy"],
            -(scores[name]["loss"] or 0),
        ),
    )
    write_json(
        place / "choice.json",
        {"format": FORMAT, "chosen": best, "measure": MEASURE, "validation": scores},
    )
    chosen = whole / "folds" / str(fold)
    chosen.parent.mkdir(exist_ok=True)
    (place / best).replace(chosen)
    return RunFolder(chosen)


def told_of(whole: Path, folds: list[int]) -> dict[str, Any]:
    """Return what ``metrics.json`` says of the choice.

    Args:
        whole: folder of the cross-validation.
        folds: numbers of those that were scored.
    """
    names = list(choices_of(whole))
    by_fold = {
        str(fold): read_json(whole / _CHOICES / str(fold) / "choice.json")
        for fold in folds
    }
    return {
        "measure": MEASURE,
        "recipes": names,
        "by_fold": {
            fold: {"chosen": told["chosen"], "validation": told["validation"]}
            for fold, told in by_fold.items()
        },
    }


def sentence(told: Mapping[str, Any]) -> str:
    """Say how often each recipe was chosen.

    >>> by_fold = {"0": {"chosen": "b"}, "1": {"chosen": "b"}}
    >>> told = {"measure": MEASURE, "recipes": ["a", "b"], "by_fold": by_fold}
    >>> sentence(told).partition(": ")[2]
    'a in 0, b in 2 of 2 folds; those tested in a fold had no say'
    """
    chosen = Counter(fold["chosen"] for fold in told["by_fold"].values())
    counts = ", ".join(f"{name} in {chosen[name]}" for name in told["recipes"])
    return (
        f"Each fold keeps the recipe with the best {told['measure']}: {counts} of "
        f"{len(told['by_fold'])} folds; those tested in a fold had no say"
    )


def _kept(run: RunFolder) -> EpochRecord | None:
    """Return the epoch whose weights a run kept, if somebody validated it."""
    epoch = read_json(run.model_folder / CONFIG)["training"].get("epoch")
    kept = [
        one for one in read_history(run.path / "history.jsonl") if one.epoch == epoch
    ]
    return kept[0] if kept and kept[0].val_loss is not None else None
