"""What a check found: counts, lists and the verdict, as `check --json` prints them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from vit_dementia.audit.inventory import Inventory
from vit_dementia.audit.leaks import Leaks
from vit_dementia.audit.pictures import Problem
from vit_dementia.audit.price import Price
from vit_dementia.audit.shortcuts import Shortcut
from vit_dementia.data.participants import Source

Verdict = Literal["clean", "leak", "cannot tell"]


@dataclass(frozen=True)
class HowGrouped:
    """How it is known who is on which scan.

    Attributes:
        method: in words; None if the ids were given and nothing was grouped.
        confidence: that a scan is with the right person, in [0, 1]; None if unknown,
            or if the ids were given.
        estimated_error: 1 minus the F1 score over pairs of scans; None likewise.
    """

    method: str | None
    confidence: float | None = None
    estimated_error: float | None = None


@dataclass(frozen=True)
class LeakCounts:
    """What stands on both sides of a split; None where it cannot be told.

    Attributes:
        participants_shared: who has scans in test and in train (or val).
        test_images_with_participant_in_train: test images of these.
        test_images: all of them.
        test_images_near_duplicate_in_train: those with a copy in train, altered or not.
        neighbouring_slices: those with the next slice of the same person in train.
    """

    participants_shared: int | None
    test_images_with_participant_in_train: int | None
    test_images: int
    test_images_near_duplicate_in_train: int | None
    neighbouring_slices: int | None

    def __bool__(self) -> bool:
        return any(
            (
                self.participants_shared,
                self.test_images_with_participant_in_train,
                self.test_images_near_duplicate_in_train,
                self.neighbouring_slices,
            )
        )


def counts_of(leaks: Leaks) -> LeakCounts:
    """Return the counts without the pairs."""
    return LeakCounts(
        **{field.name: getattr(leaks, field.name) for field in fields(LeakCounts)}
    )


def gravity(leaks: Leaks | LeakCounts) -> tuple[int, ...]:
    """Return what to compare folds by: how much of their test parts leaks."""
    return (
        leaks.test_images_with_participant_in_train or 0,
        leaks.test_images_near_duplicate_in_train or 0,
        leaks.neighbouring_slices or 0,
        leaks.participants_shared or 0,
    )


@dataclass(frozen=True, eq=False)
class Shown:
    """Thumbnails to be shown side by side; they carry no name.

    Attributes:
        caption: what they have in common.
        thumbnails: from left to right.
        roles: train, val or test of each, or nothing.
    """

    caption: str
    thumbnails: UInt8[np.ndarray, "k t t"]
    roles: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Check:
    """Everything a check found.

    Attributes:
        images: readable scans.
        participants: how many people; None if it cannot be told.
        participant_source: where the ids come from.
        grouping: how they were told apart.
        inventory: what is in the cohort.
        contradictions: ids that the images contradict.
        near_groups: paths of scans that show nearly the same, copies altered or not.
        leaks: None without a split.
        price: None if it was not asked for.
        shortcuts: every one that was tried.
        notes: what a person should know of the data.
        pairs: pictures that stand on both sides, the worst first.
        strips: pictures of some people.
    """

    images: int
    participants: int | None
    participant_source: Source
    grouping: HowGrouped
    inventory: Inventory
    contradictions: Sequence[Problem] = ()
    near_groups: Sequence[Sequence[str]] = ()
    leaks: LeakCounts | None = None
    price: Price | None = None
    shortcuts: Sequence[Shortcut] = ()
    notes: Sequence[str] = ()
    pairs: Sequence[Shown] = ()
    strips: Sequence[Shown] = ()

    @property
    def verdict(self) -> Verdict:
        """``leak`` before ``cannot tell`` before ``clean``."""
        if self.leaks:
            return "leak"
        return "cannot tell" if self.participants is None else "clean"

    @property
    def flags(self) -> list[Shortcut]:
        """The shortcuts that the label can be told from."""
        return [shortcut for shortcut in self.shortcuts if shortcut.flag]

    @property
    def problems(self) -> list[Problem]:
        """Files and ids to look at."""
        return [*self.inventory.problems, *self.contradictions]

    def document(self) -> dict[str, Any]:
        """Return the JSON value of ``check --json``: `check.schema.json` fixes it."""
        inventory = self.inventory
        return {
            "images": self.images,
            "participants": self.participants,
            "participant_source": self.participant_source,
            "grouping": asdict(self.grouping),
            "classes": {name: asdict(num) for name, num in inventory.classes.items()},
            "problems": [asdict(problem) for problem in self.problems],
            "duplicates": {
                "exact_groups": [list(group) for group in inventory.exact_groups],
                "near_groups": [list(group) for group in self.near_groups],
                "label_conflicts": [list(group) for group in inventory.label_conflicts],
            },
            "leaks": None if self.leaks is None else asdict(self.leaks),
            "price": None if self.price is None else _price(self.price),
            "shortcuts": [
                {name: getattr(one, name) for name in _SHORTCUT}
                for one in self.shortcuts
            ],
            "verdict": self.verdict,
        }


_SHORTCUT = ("name", "auroc", "low", "high", "flag")


def _price(price: Price) -> dict[str, Any]:
    models = {name: asdict(scores) for name, scores in price.accuracy.items()}
    return {"metric": "accuracy", "models": models}
