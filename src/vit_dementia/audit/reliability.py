"""How far a grouping can be trusted: its error estimated from its own margins.

A group holds together by the links of its maximum spanning tree. Their excesses spread
down toward the threshold where slices are missing or images damaged, and about as many
links lie below it, unseen, as just above; each costs the pairs of the pieces that it
would have joined. Strangers are linked as often as the tail of their excesses, a little
heavier than a normal one, reaches above the threshold.

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
_JUST_ABOVE = 0.5  # of the way from strangers to the threshold, and beyond it


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
    missed = float((link < (1 + _JUST_ABOVE) * known.threshold).sum())
    compared = float((excess < known.threshold).sum())
    mistaken = compared * float(stats.norm.sf(known.threshold / _HEAVY))
    lost, wrong = _costs(sizes, missed, mistaken)
    right = max(0.0, within - wrong)
    error = 1 - 2 * right / (2 * right + wrong + lost) if right else 1.0
    sure = np.where(np.isfinite(strongest), 1.0, 1 / (1 + float(missed > 0)))
    return Reliability(sure * (1 - error), float(error))


def _costs(
    sizes: Int[np.ndarray, " g"], missed: float, mistaken: float
) -> tuple[float, float]:
    """Return how many pairs missed and mistaken links cost.

    A person in m pieces of size a has a**2 * m * (m - 1) / 2 pairs between pieces, and
    a third less where the pieces differ in size as those of a stick broken at random.
    """
    typical = float((sizes**2).sum() / sizes.sum())  # size of an image's own group
    people = max(1.0, len(sizes) - missed)
    pieces = len(sizes) / people
    return missed * pieces * typical**2 / 3, mistaken * typical**2


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
