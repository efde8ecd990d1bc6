"""The runs that weights come from, and the people who were seen in them.

A run that began with another (``--init``), fine-tuned or pre-trained, knows that one's
participants too: they can test neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import roles
from vit_dementia.training.run_folder import RunFolder

_FARTHEST = 20  # a run cannot have begun with itself


@dataclass(frozen=True)
class Seen:
    """Who was seen in some runs: who trained, and who chose the epoch.

    Attributes:
        participants: their ids.
        all_known: whether it is known of every scan who is on it.
    """

    participants: frozenset[str]
    all_known: bool


def ancestors(init: str) -> list[RunFolder]:
    """Return the runs, still on disk, that the weights at ``init`` come from."""
    found: list[RunFolder] = []
    start = Path(init)
    while len(found) < _FARTHEST:
        folder = start.parent if start.name == "model" else start
        if not all((folder / name).is_file() for name in ("split.json", "cohort.tsv")):
            break
        found.append(RunFolder.open(folder))
        start = Path(found[-1].config.init)
    return found


def scans_seen(run: RunFolder) -> Cohort:
    """Return the scans of a run that trained, or chose the epoch."""
    cohort = run.cohort()
    role_of_row = roles(cohort, run.split(cohort).folds[run.config.fold])
    return cohort.select(np.isin(role_of_row, ["train", "val"]))


def seen_in(runs: Sequence[RunFolder]) -> Seen:
    """Return who was seen in any of these runs."""
    cohorts = [scans_seen(run) for run in runs]
    ids = {str(who) for cohort in cohorts for who in cohort.table["participant_id"]}
    return Seen(frozenset(ids - {UNKNOWN}), UNKNOWN not in ids)
