"""``vit-dementia tune``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vit_dementia.cli.options import CohortOptions, new_folder, read_cohort, tell
from vit_dementia.cli.terminal import say, watch_for_people
from vit_dementia.config import RunConfig
from vit_dementia.errors import ConfigError
from vit_dementia.workflows.tune_limits import Limits


def tune(
    data: Path | None = None,
    /,
    *,
    limits: Annotated[Limits, Parameter(name="*")] = Limits(),
    space: Path | None = None,
    config: Annotated[RunConfig, Parameter(name="*")] = RunConfig(),
    cohort: Annotated[CohortOptions, Parameter(name="*")] = CohortOptions(),
    recipe: str | None = None,  # noqa: ARG001  # app.py reads it before the flags
    split: Path | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    cache: Path | None = None,
    json: bool = False,
) -> None:
    """Search for settings on the validation part; write the best as a recipe.

    Example: vit-dementia tune data/ --recipe tiny --trials 20 --minutes 60

    Args:
        data: folders of images per class, or a table of them.
        space: TOML file of what may be chosen [default: see the how-to].
        recipe: name or TOML file of settings that lie between defaults and flags.
        split: split file, read and verified [default: the data's own, or a new one].
        out: new folder for the search [default: runs/TIME-tune].
        resume: go on with this search where it stopped.
        cache: folder for decoded scans [default: the user's cache folder].
        json: print one JSON document on stdout.
    """
    from vit_dementia.data.splits import Split
    from vit_dementia.workflows import tune as workflow
    from vit_dementia.workflows.tune_space import read_space

    if data is None and resume is None:
        raise ConfigError("tune: found no DATA; needs a folder or table of scans")
    scans = None if data is None else read_cohort(data, cohort)
    watch = watch_for_people()
    if resume is not None:
        found = workflow.resume_tuning(
            resume, limits=limits, cohort=scans, cache=cache, watch=watch
        )
    else:
        assert scans is not None
        tell(scans)
        found = workflow.tune(
            scans,
            config,
            out=new_folder(out, "tune"),
            limits=limits,
            space=None if space is None else read_space(space),
            split=None if split is None else Split.read(split, scans),
            cache=cache,
            watch=watch,
        )
    say(f"trials: {found.table}")
    if found.best is not None:
        say(f"best recipe: {found.recipe}")
    if json:
        print(json_module.dumps(found.to_dict(), indent=2, allow_nan=False))
