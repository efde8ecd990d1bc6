"""``vit-dementia train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vit_dementia.cli.options import CohortOptions, new_folder, read_cohort, tell
from vit_dementia.cli.terminal import say, watch_for_people
from vit_dementia.config import RunConfig
from vit_dementia.errors import ConfigError


def train(
    data: Path | None = None,
    /,
    *,
    config: Annotated[RunConfig, Parameter(name="*")] = RunConfig(),
    cohort: Annotated[CohortOptions, Parameter(name="*")] = CohortOptions(),
    recipe: str | None = None,  # noqa: ARG001  # app.py reads it before the flags
    split: Path | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    cache: Path | None = None,
) -> None:
    """Train a Vision Transformer from scratch, or fine-tune one with --init.

    Example: vit-dementia train data/ --recipe tiny --epochs 20 --out runs/first

    Args:
        data: folders of images per class, or a table of them.
        recipe: name or TOML file of settings that lie between defaults and flags.
        split: split file, read and verified [default: the data's own, or a new one].
        out: new folder for the run [default: runs/TIME-train].
        resume: go on with this run where it stopped.
        cache: folder for decoded scans [default: the user's cache folder].
    """
    from vit_dementia.data.splits import Split
    from vit_dementia.training import run
    from vit_dementia.workflows.guard import guarded

    if data is None and resume is None:
        raise ConfigError("train: found no DATA; needs a folder or table of scans")
    scans = None if data is None else read_cohort(data, cohort)
    if resume is not None:
        told = None if config == RunConfig() else config
        folder = run.resume(
            resume, config=told, cohort=scans, cache=cache, watch=watch_for_people()
        )
    else:
        assert scans is not None
        tell(scans)
        watch = watch_for_people()
        given = None if split is None else Split.read(split, scans)
        folder = run.train(
            scans,
            config,
            out=new_folder(out, "train"),
            split=guarded(scans, given, config, cache=cache, watch=watch),
            cache=cache,
            watch=watch,
        )
    say(f"run: {folder.path}")
    say(f"score it once, at the end: vit-dementia evaluate {folder.path}")
