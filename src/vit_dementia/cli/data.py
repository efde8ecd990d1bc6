"""``vit-dementia data``."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from vit_dementia.cli.terminal import say

app = App(name="data", help="Make or download data.")


@app.command
def phantom(
    out: Path,
    /,
    *,
    participants: int = 60,
    classes: int = 3,
    slices: int = 8,
    seed: int = 0,
    volumes: bool = False,
    whole_head: bool = False,
) -> None:
    """Make simulated brains with graded atrophy, and masks of where it was put.

    Example: vit-dementia data phantom phantoms/ --participants 60 --classes 3

    Args:
        out: a new folder.
        participants: how many people.
        classes: 2 to 4 stages, the first without atrophy.
        slices: axial slices of each participant.
        seed: the same seed gives the same bytes.
        volumes: whole volumes as a BIDS data set instead of slices.
        whole_head: with a scalp, skull and neck.
    """
    from vit_dementia.data.phantoms import make_phantoms

    made = make_phantoms(
        out,
        participants=participants,
        classes=classes,
        seed=seed,
        volumes=volumes,
        whole_head=whole_head,
        slices=slices,
    )
    say(f"phantoms: {made}")
