"""A check made by hand, for the tests of what is made of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vit_dementia.audit.inventory import ClassCount, Inventory, People
from vit_dementia.audit.pictures import Problem
from vit_dementia.audit.price import Price, Scores
from vit_dementia.audit.shortcuts import Shortcut
from vit_dementia.workflows.check_record import Check, HowGrouped, LeakCounts, Shown

NOBODY = People(
    num_ages=0, age_mean=None, age_sd=None, age_lowest=None, age_highest=None,
    sexes={}, sites={},
)  # fmt: skip


def made_inventory(**changes) -> Inventory:
    inventory = Inventory(
        formats={"JPEG": 70, "PNG": 2},
        modes={"L": 72},
        sizes={"208 x 176": 72},
        bits={"8": 72},
        classes={
            "<i>CN</i>": ClassCount(images=40, participants=5),
            "AD": ClassCount(images=32, participants=4),
        },
        people={"<i>CN</i>": NOBODY, "AD": NOBODY},
        exact_groups=(("secret/a.png", "secret/b.png"),),
        label_conflicts=(("secret/a.png", "secret/b.png"),),
        problems=(Problem("secret/c.png", "unreadable", "is empty"),),
    )
    return replace(inventory, **changes)


def made_check(**changes) -> Check:
    shown = Shown("1.000 alike", np.full((2, 96, 96), 90, np.uint8), ("train", "test"))
    check = Check(
        images=72,
        participants=9,
        participant_source="image-content",
        grouping=HowGrouped("look-alikes in chains", 0.98, 0.012),
        inventory=made_inventory(),
        contradictions=(Problem("secret/d.png", "two people", "p1 shows two heads"),),
        near_groups=(("secret/a.png", "secret/e.png"),),
        leaks=LeakCounts(9, 16, 16, 3, 12),
        price=Price(
            accuracy={
                "nearest neighbor": Scores(
                    given=0.69, random_images=1.0, by_participant=0.5
                )
            },
            balanced_accuracy={
                "nearest neighbor": Scores(
                    given=0.67, random_images=1.0, by_participant=0.3
                )
            },
            num_learned=56,
            num_scored=16,
        ),
        shortcuts=(
            Shortcut(
                "age", 0.8, 0.7, 0.9, flag=True, comparison="CN against all others"
            ),
            Shortcut("site", None, None, None, flag=False, comparison="unknown"),
        ),
        notes=("secret/f.png: is odd",),
        pairs=(shown,),
        strips=(shown,),
    )
    return replace(check, **changes)
