"""``vit-dementia data``."""

from __future__ import annotations

import sys
from pathlib import Path

from cyclopts import App

from vit_dementia.cli.terminal import say, watch_for_people

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
    bids: bool = False,
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
        bids: the same: volumes have no other layout.
        whole_head: with a scalp, skull and neck.
    """
    from vit_dementia.data.phantoms import make_phantoms

    made = make_phantoms(
        out,
        participants=participants,
        classes=classes,
        seed=seed,
        volumes=volumes or bids,
        whole_head=whole_head,
        slices=slices,
    )
    say(f"phantoms: {made}")


@app.command
def fetch(
    name: str,
    out: Path,
    /,
    *,
    accept_license: bool = False,
    sha256: str | None = None,
    site: str | None = None,
) -> None:
    """Download a public set, after showing under which license it is.

    Example: vit-dementia data fetch sachinkumar413/alzheimer-mri-dataset data/

    Args:
        name: sachinkumar413/alzheimer-mri-dataset or
            lukechugh/best-alzheimer-mri-dataset-99-accuracy.
        out: a new folder.
        accept_license: accept the license shown without being asked.
        sha256: what the hash of the archive must be.
        site: address of the publisher's server, or of a mirror.
    """
    from vit_dementia.data.fetch import KAGGLE, Terms
    from vit_dementia.data.fetch import fetch as fetch_set

    def agree(terms: Terms) -> bool:
        say(f"{terms.name}: license: {terms.license}")
        say(f"read it on {terms.page}")
        say(terms.word)
        if accept_license:
            return True
        if not sys.stdin.isatty():
            say("nobody to ask; accept it by --accept-license")
            return False
        return input("accept? [y/N] ").strip().lower() in {"y", "yes"}

    fetched = fetch_set(
        name,
        out,
        agree=agree,
        sha256=sha256,
        site=site or KAGGLE,
        watch=watch_for_people(),
    )
    for note in fetched.notes:
        say(note)
    say(f"{fetched.num_files} files in {fetched.folder}")
