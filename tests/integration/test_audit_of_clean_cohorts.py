"""Forty cohorts with nothing wrong: how often the audit cries wolf."""

from __future__ import annotations

import shutil

import pytest

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.phantoms import make_phantoms
from vit_dementia.data.splits import holdout
from vit_dementia.workflows.check import check

pytestmark = pytest.mark.slow
PEOPLE, SLICES = (12, 20, 30, 40), (1, 4, 8, 16)
COHORTS = 40


def test_of_forty_clean_cohorts_at_most_two_are_flagged(tmp_path) -> None:
    flagged = {}
    for seed in range(COHORTS):
        root = make_phantoms(
            tmp_path / "phantoms",
            participants=PEOPLE[seed % 4],
            slices=SLICES[seed // 4 % 4],
            classes=2 + seed % 3,
            whole_head=seed % 3 == 0,
            seed=1000 + seed,
        )
        cohort = Cohort.from_path(root, as_found=True)
        split = holdout(cohort, val=0.15, test=0.2, seed=seed)
        found, _ = check(cohort, split=split)
        said = [
            *([found.verdict] if found.verdict != "clean" else []),
            *(shortcut.name for shortcut in found.flags),
            *(f"{problem.kind}: {problem.detail}" for problem in found.problems),
            *(["near-copies"] if found.near_groups else []),
            *(["copies"] if found.inventory.exact_groups else []),
        ]
        if said:
            flagged[seed] = said
        shutil.rmtree(root)
    assert len(flagged) <= 2, flagged
