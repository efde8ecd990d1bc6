"""``vit-dementia train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vit_dementia.cli.leak import tell_leak
from vit_dementia.cli.options import CohortOptions, new_folder, read_cohort, tell
from vit_dementia.cli.terminal import say, watch_for_people
from vit_dementia.config import RunConfig
from vit_dementia.errors import ConfigError
from vit_dementia.launch import Strategy


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
    strategy: Strategy = "auto",
    find_learning_rate: bool = False,
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
        strategy: how several processes, started by torchrun or SLURM, share the work.
        find_learning_rate: train nothing; let the learning rate rise until the loss
            blows up, and print the one to take.
    """
    from vit_dementia.data.splits import Split
    from vit_dementia.training import range_test, run
    from vit_dementia.workflows.guard import guarded

    if data is None and resume is None:
        raise ConfigError("train: found no DATA; needs a folder or table of scans")
    scans = None if data is None else read_cohort(data, cohort)
    if resume is not None:
        told = None if config == RunConfig() else config
        folder = run.resume(
            resume,
            config=told,
            cohort=scans,
            cache=cache,
            watch=watch_for_people(),
            strategy=strategy,
        )
    else:
        assert scans is not None
        tell(scans)
        watch = watch_for_people()
        given = None if split is None else Split.read(split, scans)
        parts = guarded(scans, given, config, cache=cache, watch=watch)
        if find_learning_rate:
            curves = new_folder(out, "learning-rate")
            curve = range_test.find_learning_rate(
                scans, config, out=curves, split=parts, cache=cache, watch=watch
            )
            say(f"curve: {curves / 'learning-rate.png'}")
            print(f"{curve.suggestion:.1e}")
            return
        folder = run.train(
            scans,
            config,
            out=new_folder(out, "train"),
            split=parts,
            cache=cache,
            watch=watch,
            strategy=strategy,
        )
    if config.init is not None:
        tell_leak(config.init)
    say(f"run: {folder.path}")
    say(f"score it once, at the end: vit-dementia evaluate {folder.path}")
