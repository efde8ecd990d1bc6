"""``vit-dementia pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vit_dementia.cli.options import CohortOptions, new_folder, read_cohort, tell
from vit_dementia.cli.terminal import say, watch_for_people
from vit_dementia.config import RunConfig
from vit_dementia.errors import ConfigError


def pretrain(
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
    """Learn what such scans look like, without labels: fill in hidden patches.

    Example: vit-dementia pretrain data/ --recipe mae --model ViT-Ti/16 --out runs/mae

    Args:
        data: scans in folders, or a table of them; labels are not needed.
        recipe: name or TOML file of settings that lie between defaults and flags.
        split: split file; its test participants stay unseen [default: drawn as by
            vit-dementia train, with the same seed].
        out: new folder for the run [default: runs/TIME-pretrain].
        resume: go on with this run where it stopped.
        cache: folder for decoded scans [default: the user's cache folder].
    """
    from vit_dementia.data.splits import Split
    from vit_dementia.training import run
    from vit_dementia.workflows import pretrain as workflow

    if data is None and resume is None:
        raise ConfigError("pretrain: found no DATA; needs a folder or table of scans")
    scans = None if data is None else read_cohort(data, cohort, unlabelled=True)
    if resume is not None:
        told = None if config == RunConfig() else config
        folder = run.resume(
            resume, config=told, cohort=scans, cache=cache, watch=watch_for_people()
        )
    else:
        assert scans is not None
        tell(scans)
        folder = workflow.pretrain(
            scans,
            config,
            out=new_folder(out, "pretrain"),
            split=None if split is None else Split.read(split, scans),
            cache=cache,
            watch=watch_for_people(),
        )
    say(f"run: {folder.path}")
    say(f"fine-tune it: vit-dementia train DATA --init {folder.path}")
