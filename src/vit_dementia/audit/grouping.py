"""Who is who, from pixels alone; and whether ids that are given can be right.

Each image has a fingerprint, a few candidates that may show the same person, and for
each candidate evidence for or against (`fingerprints`, `neighbors`, `evidence`). The
slices of one person form a chain, each being most like the next; groups are what the
evidence holds together (`contraction`). Where each person has one slice of each plane
there are no chains; who is who then shows in the lines along which the planes meet
(`crossings`). No name and no order of files is looked at.

Shapes: n scans, p pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from vit_dementia.audit import chains
from vit_dementia.audit.contraction import contract
from vit_dementia.audit.crossings import Crossings
from vit_dementia.audit.likenesses import Likenesses, look_alikes
from vit_dementia.audit.pictures import Pictures
from vit_dementia.audit.reliability import Reliability, reliability
from vit_dementia.audit.verification import Verification, verify

__all__ = ["Grouping", "Likenesses", "Verification", "group", "look_alikes", "verify"]

_DOUBT = 0.5  # part of the confidence that is left where there is doubt
_NEAR = 1.0  # spreads from the threshold within which a pair of volumes is in doubt
_MOST_ERROR = 0.1  # above this an estimate is too low, and no answer
METHOD = "image content: chains of look-alike slices"
REPEATED = "image content: three planes of each volume"
CROSSING = "image content: planes that meet in a line"


@dataclass(frozen=True, eq=False)
class Grouping:
    """Who is on every scan, as the pixels tell.

    Attributes:
        participant: made-up ids, the same for scans that seem to show one person.
        slice_order: place of a scan among those of its person, from 0; the whole order
            may run either way. -1: unknown.
        confidence: that a scan is with its person and with no other, in [0, 1].
        estimated_error: 1 minus the F1 score over pairs of scans; None: cannot be told.
        method: how it was told, or why it cannot be.
        certain: False where it cannot be told who is who.
    """

    participant: tuple[str, ...]
    slice_order: Int[np.ndarray, " n"]
    confidence: Float[np.ndarray, " n"]
    estimated_error: float | None
    method: str
    certain: bool


def group(pictures: Pictures, *, alike: Likenesses | None = None) -> Grouping:
    """Tell who is on which scan.

    Args:
        pictures: every scan; at least two.
        alike: what looks alike, if that is known already.
    """
    alike = alike or look_alikes(pictures)
    if alike.crossings is not None and len(alike.crossings.meetings) > 1:
        return _crossed(alike.crossings)
    num = len(pictures)
    evidence = alike.same_person
    groups = contract(num, alike.pairs, evidence)
    if alike.levels is not None:
        return _repeated(groups, alike)
    quality = reliability(groups, alike)
    refusal = _why_not(alike, quality)
    return Grouping(
        participant=_names(groups),
        slice_order=chains.order(groups, alike.pairs, evidence),
        confidence=np.zeros(num) if refusal else quality.confidence,
        estimated_error=None if refusal else quality.estimated_error,
        method=refusal or METHOD,
        certain=not refusal,
    )


def _repeated(groups: Int[np.ndarray, " n"], alike: Likenesses) -> Grouping:
    """Tell which volumes are of one head, where some are.

    The error is the share of repeats in doubt, by the rule of succession.
    """
    excess, threshold = alike.excess, alike.calibration.threshold
    num = int((excess > threshold).sum())
    near = np.abs(excess - threshold) < _NEAR
    error = (int(near.sum()) / 2 + 1) / (num + 2)
    refusal = ""
    if error > _MOST_ERROR:
        refusal = (
            f"cannot tell: {num} pairs of volumes look like one head, too few to know "
            "what repeats look like here"
        )
    confidence = np.full(len(groups), 1 - error)
    confidence[np.unique(alike.pairs[near])] *= _DOUBT
    return Grouping(
        participant=_names(groups),
        slice_order=np.full(len(groups), -1, dtype=np.int64),
        confidence=np.zeros(len(groups)) if refusal else confidence,
        estimated_error=None if refusal else error,
        method=refusal or REPEATED,
        certain=not refusal,
    )


def _crossed(crossings: Crossings) -> Grouping:
    """Tell who is who where single slices of several planes meet.

    Three lines or more check each other: a wrong triangle closes by chance only. The
    error is the share of people of whom they do not agree, by the rule of succession.
    """
    groups, agreed = crossings.people()
    num = int(groups.max()) + 1
    open_ = len(np.unique(groups[~agreed]))
    error = (open_ + 1) / (num + 2)
    refusal = ""
    if error > _MOST_ERROR:
        refusal = (
            f"cannot tell: of {open_} of {num} people the lines in which their planes "
            "meet contradict each other"
        )
    confidence = np.where(agreed, 1 - error, _DOUBT * (1 - error))
    return Grouping(
        participant=_names(groups),
        slice_order=np.full(len(groups), -1, dtype=np.int64),
        confidence=np.zeros(len(groups)) if refusal else confidence,
        estimated_error=None if refusal else error,
        method=refusal or CROSSING,
        certain=not refusal,
    )


def _names(groups: Int[np.ndarray, " n"]) -> tuple[str, ...]:
    return tuple(f"person-{number + 1:04}" for number in groups)


def _why_not(alike: Likenesses, quality: Reliability) -> str:
    """Return why it cannot be told who is who, or nothing."""
    if not alike.calibration.sees_neighbors:
        return (
            "cannot tell: too few images have a neighboring slice of the same person "
            "among the others"
        )
    views = int(alike.view.max(initial=0)) + 1
    if views > 1:
        return (
            f"cannot tell: there are {views} kinds of views that never look alike, and "
            "which of them belong to one person does not show"
        )
    if quality.estimated_error > _MOST_ERROR:
        return (
            "cannot tell: an estimated error of "
            f"{quality.estimated_error:.2f} is more than {_MOST_ERROR}"
        )
    return ""
