"""``vit-dementia demo``."""

from __future__ import annotations

from pathlib import Path

from vit_dementia.cli.options import new_folder
from vit_dementia.cli.scores import tell_scores
from vit_dementia.cli.terminal import say, watch_for_people


def demo(*, out: Path | None = None, seed: int = 0, json: bool = False) -> None:
    """Do the main job on phantoms: make them, train, evaluate by participant, report.

    Needs no data and no network; a few minutes on two cores.

    Example: vit-dementia demo

    Args:
        out: new folder [default: runs/TIME-demo].
        seed: of the phantoms, the split and the training.
        json: print metrics.json on stdout.
    """
    from vit_dementia.workflows.demo import demo as workflow

    folder = new_folder(out, "demo")
    say(f"a Vision Transformer from scratch on simulated brains, in {folder}")
    tell_scores(workflow(folder, seed=seed, watch=watch_for_people()), as_json=json)
