"""Training from Python, in the words of the command line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from vit_dementia import recipes
from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import Split
from vit_dementia.errors import ConfigError
from vit_dementia.files import free_run_path
from vit_dementia.launch import Strategy
from vit_dementia.progress import Watch
from vit_dementia.training import run
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.guard import guarded


def train(
    cohort: Cohort,
    *,
    recipe: str | None = None,
    out: str | Path | None = None,
    split: Split | None = None,
    cache: Path | None = None,
    watch: Watch | None = None,
    strategy: Strategy = "auto",
    **settings: Any,
) -> RunFolder:
    """Train on a cohort and return the finished run: ``vit-dementia train``.

    Args:
        cohort: every scan there is.
        recipe: name or TOML file of settings between the defaults and ``settings``.
        out: a new folder; ``runs/<time>-train`` if left out.
        split: who trains, chooses and tests; made (and saved) if left out.
        cache: where decoded scans are kept.
        watch: who is told of the progress.
        strategy: how processes that torchrun or SLURM started together share the work.
        settings: fields of the configuration by their names (``epochs=10``), or a
            table of them (``vit={"depth": 6}``).

    Raises:
        VitDementiaError: as ``training.run.train``.
    """
    base = recipes.read_recipe(recipe) if recipe is not None else {}
    config = recipes.config_from(merged(base, placed(settings)), where="train")
    return run.train(
        cohort,
        config,
        out=Path(out) if out is not None else free_run_path("train"),
        split=guarded(cohort, split, config, cache=cache, watch=watch),
        cache=cache,
        watch=watch,
        strategy=strategy,
    )


def placed(settings: dict[str, Any]) -> dict[str, Any]:
    """Put settings named without their table into it.

    Raises:
        ConfigError: if more than one table has a setting of that name.

    >>> placed({"epochs": 3, "seed": 1, "vit": {"depth": 2}})
    {'train': {'epochs': 3}, 'seed': 1, 'vit': {'depth': 2}}
    """
    defaults = RunConfig()
    top = [field.name for field in dataclasses.fields(RunConfig)]
    result: dict[str, Any] = {}
    for name, value in settings.items():
        homes = [
            table
            for table in top
            if dataclasses.is_dataclass(inner := getattr(defaults, table))
            and name in {field.name for field in dataclasses.fields(inner)}
        ]
        if name in top or not homes:  # an unknown name is told by the strict reader
            result = merged(result, {name: value})
        elif len(homes) == 1:
            result = merged(result, {homes[0]: {name: value}})
        else:
            raise ConfigError(
                f"{name}: stands in the tables {' and '.join(homes)}; name one: "
                f"{homes[0]}={{{name!r}: ...}}"
            )
    return result


def merged(base: Any, over: dict[str, Any]) -> dict[str, Any]:
    """Return both settings, those of ``over`` where both speak; tables are merged.

    >>> merged({"train": {"epochs": 3}}, {"train": {"warmup": 0.2}, "seed": 1})
    {'train': {'epochs': 3, 'warmup': 0.2}, 'seed': 1}
    """
    result = dict(base)
    for name, value in over.items():
        table = result.get(name)
        both_are_tables = isinstance(table, dict) and isinstance(value, dict)
        result[name] = merged(table, value) if both_are_tables else value
    return result
