"""How far a grouping can be trusted: its error estimated from its own margins.

A group holds together by the links of its maximum spanning tree. Where one slice is
missing a weak link is left, where two in a row are missing none: if a share q of the
links is weak, about q**2 of them are missing, times a factor that was measured on the
development people of the 4-class set (all their slices and random parts of them, as
they are and altered). Each costs pairs between pieces. Strangers are linked as often as
the tail of their excesses, a little heavier than a normal one, reaches above the
threshold.

Shapes: n images, p pairs, g groups, m links.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import stats
from scipy.sparse.csgraph import minimum_spanning_tree

from vit_dementia.audit.chains import square
from vit_dementia.audit.evidence import Calibration

_HEAVY = 1.1  # strangers reach a little further than a normal distribution
_WEAK = 1.5  # thresholds; links below are weak
_MISSING = 6.0  # links for each squared weak one, and
_PIECES = 8.0  # a part of the pairs of a person that one break costs: both measured


@dataclass(frozen=True, eq=False)
class Reliability:
    """What is expected of a grouping.

    Attributes:
        confidence: that an image is with its person and with no other, in [0, 1].
        estimated_error: 1 minus the F1 score over pairs of images.
    """

    confidence: Float[np.ndarray, " n"]
    estimated_error: float


def reliability(
    groups: Int[np.ndarray, " n"],
    pairs: Int[np.ndarray, "p 2"],
    excess: Float[np.ndarray, " p"],
    known: Calibration,
) -> Reliability:
    """Estimate how good a grouping is.

    Args:
        groups: the group of each image.
        pairs: of images and their candidates.
        excess: by how many spreads each pair is more alike than strangers.
        known: what likenesses mean in the cohort.
    """
    sizes = np.bincount(groups)
    ends, link = _links(groups, pairs, excess, known.threshold)
    strongest = np.full(len(groups), -np.inf)
    np.maximum.at(strongest, ends.ravel(), np.repeat(link, 2))
    within = float((sizes * (sizes - 1) / 2).sum())
    weak = float((link < _WEAK * known.threshold).sum())
    missed = min(_MISSING * weak**2 / max(1, len(link)), len(sizes) / 2)
    compared = float((excess < known.threshold).sum())
    mistaken = compared * float(stats.norm.sf(known.threshold / _HEAVY))
    lost, wrong = _costs(sizes, missed, mistaken)
    right = max(0.0, within - wrong)
    error = 1 - 2 * right / (2 * right + wrong + lost) if right else 1.0
    sure = np.where(np.isfinite(strongest), 1.0, 0.5)
    return Reliability(sure * (1 - error), float(error))


def _costs(
    sizes: Int[np.ndarray, " g"], missed: float, mistaken: float
) -> tuple[float, float]:
    """Return how many pairs missed and mistaken links cost.

    What a break costs grows with the number of pieces that a person is in.
    """
    typical = float((sizes**2).sum() / sizes.sum())  # size of an image's own group
    people = max(1.0, len(sizes) - missed)
    pieces = len(sizes) / people
    return missed * pieces * typical**2 / _PIECES, mistaken * typical**2


def _links(
    groups: Int[np.ndarray, " n"],
    pairs: Int[np.ndarray, "p 2"],
    excess: Float[np.ndarray, " p"],
    threshold: float,
) -> tuple[Int[np.ndarray, "m 2"], Float[np.ndarray, " m"]]:
    """Return the links of the groups' maximum spanning trees and their excesses."""
    inside = (groups[pairs[:, 0]] == groups[pairs[:, 1]]) & (excess > threshold)
    if not inside.any():
        return np.zeros((0, 2), dtype=np.int64), np.zeros(0)
    top = float(excess[inside].max()) + 1  # the largest become the smallest
    graph = square(len(groups), pairs[inside], top - excess[inside])
    tree = minimum_spanning_tree(graph).tocoo()
    return np.stack([tree.row, tree.col], axis=1).astype(np.int64), top - tree.data
