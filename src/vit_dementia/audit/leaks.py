"""What stands on both sides of a split: people, copies of an image, next slices.

Shapes: n scans, p pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from vit_dementia.audit.likenesses import Likenesses, look_alikes
from vit_dementia.audit.pictures import Pictures

_WORST = 24  # pairs that are kept for the report


@dataclass(frozen=True)
class Leaks:
    """What a test shares with training; validation counts as training here.

    Attributes:
        participants_shared: people in test and in training, or in val and in train;
            None if it cannot be told who is who.
        test_images_with_participant_in_train: test scans of people in training; None
            likewise.
        test_images: all test scans.
        test_images_near_duplicate_in_train: test scans with a copy in training, altered
            or not.
        neighbouring_slices: test scans with a next slice of the same person in
            training.
        worst: rows of two scans on both sides and what they have in common, the most
            alike first.
    """

    participants_shared: int | None
    test_images_with_participant_in_train: int | None
    test_images: int
    test_images_near_duplicate_in_train: int
    neighbouring_slices: int
    worst: tuple[tuple[int, int, str], ...]

    def __bool__(self) -> bool:
        return any(
            (
                self.participants_shared,
                self.test_images_with_participant_in_train,
                self.test_images_near_duplicate_in_train,
                self.neighbouring_slices,
            )
        )


def leaks_across(
    roles: Sequence[str],
    participant: Sequence[str] | None,
    pictures: Pictures,
    *,
    alike: Likenesses | None = None,
) -> Leaks:
    """Find what a split has on both sides.

    Args:
        roles: train, val or test of each scan; empty: not used.
        participant: who is on each; None if it cannot be told.
        pictures: every scan.
        alike: what looks alike, if that is known already.
    """
    alike = alike or look_alikes(pictures)
    part = np.array(roles, dtype=str)
    test = part == "test"
    shared = None if participant is None else _shared(part, participant)
    same = _same_pixels(pictures.digests, part)
    copied = np.concatenate([same, alike.pairs[alike.copies]])
    beside = alike.pairs[alike.neighbors]
    return Leaks(
        participants_shared=None if shared is None else len(shared),
        test_images_with_participant_in_train=(
            None
            if shared is None or participant is None
            else _touched(part, participant, shared)
        ),
        test_images=int(test.sum()),
        test_images_near_duplicate_in_train=_exposed(copied, part),
        neighbouring_slices=_exposed(beside, part),
        worst=_worst(alike, part),
    )


def _shared(part: np.ndarray, participant: Sequence[str]) -> dict[str, set[str]]:
    """Return who is in more than one part, and in which."""
    parts_of: dict[str, set[str]] = defaultdict(set)
    for one, role in zip(participant, part.tolist(), strict=True):
        if role:
            parts_of[one].add(role)
    return {one: parts for one, parts in parts_of.items() if len(parts) > 1}


def _touched(
    part: np.ndarray, participant: Sequence[str], shared: dict[str, set[str]]
) -> int:
    """Return how many test scans are of somebody in another part, too."""
    return sum(
        role == "test" and one in shared
        for one, role in zip(participant, part.tolist(), strict=True)
    )


def _same_pixels(digests: Sequence[str], part: np.ndarray) -> Int[np.ndarray, "p 2"]:
    """Return pairs with the same pixels in different parts: one for each scan."""
    first_of: dict[tuple[str, str], int] = {}
    for row, (digest, role) in enumerate(zip(digests, part.tolist(), strict=True)):
        if role:
            first_of.setdefault((digest, role), row)
    pairs = [
        (row, first_of[digest, other])
        for row, (digest, role) in enumerate(zip(digests, part.tolist(), strict=True))
        for other in ("train", "val", "test")
        if role and other != role and (digest, other) in first_of
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _across(pairs: Int[np.ndarray, "p 2"], part: np.ndarray) -> Bool[np.ndarray, " p"]:
    roles = part[pairs]
    found: np.ndarray = (roles != "").all(axis=1) & (roles[:, 0] != roles[:, 1])
    return found


def _exposed(pairs: Int[np.ndarray, "p 2"], part: np.ndarray) -> int:
    """Return how many test scans are in a pair with a scan of another part."""
    rows = np.unique(pairs[_across(pairs, part)])
    return int((part[rows] == "test").sum())


def _worst(alike: Likenesses, part: np.ndarray) -> tuple[tuple[int, int, str], ...]:
    """Return the most alike pairs of different parts, each scan once."""
    across = np.flatnonzero(
        _across(alike.pairs, part) & (alike.copies | alike.neighbors)
    )
    ranked = across[np.argsort(-alike.likeness[across], kind="stable")]
    seen: set[int] = set()
    worst: list[tuple[int, int, str]] = []
    for row in ranked.tolist():
        one, other = (int(end) for end in alike.pairs[row])
        if len(worst) < _WORST and not {one, other} & seen:
            seen |= {one, other}
            what = "a copy" if alike.copies[row] else "a neighboring slice"
            worst.append((one, other, f"{what}, correlation {alike.likeness[row]:.3f}"))
    return tuple(worst)
