"""How far a grouping can be trusted: its error estimated from its own margins.

A group holds together by the links of its maximum spanning tree. Where one slice is
missing a weak link is left, where two in a row are missing none: if a share q of the
links is weak, about q**2 of them are missing, times a factor that was measured on the
development people of the 4-class set (all their slices and random parts of them, as
they are and altered). Where even weak links are too few to be seen, pieces tell: if
each link is missing with probability p, p**2 of all images begin a piece of two, and
nearly as many one of three; the last slice of a head is alone for other reasons. Links
that only one of two images found show where the search is at its end: half as many were
found by neither. Each missing link costs pairs between pieces. Strangers are linked as
often as the tail of their excesses, a little heavier than a normal one, reaches above
the threshold; the weakest links are the likeliest to be such.

Shapes: n images, p pairs, g groups, m links.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats
from scipy.sparse.csgraph import minimum_spanning_tree

from vit_dementia.audit.chains import square
from vit_dementia.audit.likenesses import Likenesses

_HEAVY = 1.1  # strangers reach a little further than a normal distribution
_WEAK = 1.5  # thresholds; links below are weak
_MISSING = 6.0  # links for each squared weak one, and
_PIECES = 8.0  # a part of the pairs of a person that one break costs: both measured
_SHORT = (2, 3)  # images in a short piece, where
_MANY = 8.0  # images and more of one person are usual
_UNFOUND = 0.5  # links found by neither image for each found by one: measured, too
_ALONE = 0.5  # confidence in an image that is with nobody: it may be so


@dataclass(frozen=True, eq=False)
class Reliability:
    """What is expected of a grouping.

    Attributes:
        confidence: that an image is with its person and with no other, in [0, 1].
        estimated_error: 1 minus the F1 score over pairs of images.
    """

    confidence: Float[np.ndarray, " n"]
    estimated_error: float


def reliability(groups: Int[np.ndarray, " n"], alike: Likenesses) -> Reliability:
    """Estimate how good a grouping is.

    Args:
        groups: the group of each image.
        alike: what looks alike.
    """
    sizes, threshold = np.bincount(groups), alike.calibration.threshold
    ends, link, mutual = _links(groups, alike)
    within = float((sizes * (sizes - 1) / 2).sum())
    weak = float((link < _WEAK * threshold).sum())
    missed = max(_MISSING * weak**2 / max(1, len(link)), _breaks(sizes))
    missed += _UNFOUND * float((~mutual).sum())
    compared = float((alike.excess < threshold).sum())
    mistaken = compared * float(stats.norm.sf(threshold / _HEAVY))
    lost, wrong = _costs(sizes, min(missed, len(sizes) / 2), mistaken)
    right = max(0.0, within - wrong)
    error = 1 - 2 * right / (2 * right + wrong + lost) if right else 1.0
    sure = _sure(groups, ends, link, mistaken)
    return Reliability(sure * (1 - error), float(error))


def _breaks(sizes: Int[np.ndarray, " g"]) -> float:
    """Return how many breaks the number of short pieces tells of.

    >>> _breaks(np.array([32, 32, 1])), round(_breaks(np.array([32, 20, 10, 2])), 1)
    (0.0, 5.7)
    """
    if _typical(sizes) < _MANY:
        return 0.0
    num, short = int(sizes.sum()), int(np.isin(sizes, _SHORT).sum())
    return num * float(np.sqrt(short / len(_SHORT) / num))


def _typical(sizes: Int[np.ndarray, " g"]) -> float:
    """Return the mean size of an image's own group."""
    return float((sizes**2).sum() / sizes.sum())


def _sure(
    groups: Int[np.ndarray, " n"],
    ends: Int[np.ndarray, "m 2"],
    link: Float[np.ndarray, " m"],
    mistaken: float,
) -> Float[np.ndarray, " n"]:
    """Return how likely each image's group is held together by no false link.

    As many of the links up to its weakest one as are expected to be false may be it.
    """
    weaker = np.searchsorted(np.sort(link), link, side="right")
    true = 1 - np.minimum(1.0, mistaken / np.maximum(weaker, 1))
    of_group = np.full(int(groups.max(initial=-1)) + 1, np.inf)
    np.minimum.at(of_group, groups[ends[:, 0]], true)
    sure: np.ndarray = np.where(np.isfinite(of_group), of_group, _ALONE)[groups]
    return sure


def _costs(
    sizes: Int[np.ndarray, " g"], missed: float, mistaken: float
) -> tuple[float, float]:
    """Return how many pairs missed and mistaken links cost.

    What a break costs grows with the number of pieces that a person is in.
    """
    typical = _typical(sizes)
    people = max(1.0, len(sizes) - missed)
    pieces = len(sizes) / people
    return missed * pieces * typical**2 / _PIECES, mistaken * typical**2


def _links(
    groups: Int[np.ndarray, " n"], alike: Likenesses
) -> tuple[Int[np.ndarray, "m 2"], Float[np.ndarray, " m"], Bool[np.ndarray, " m"]]:
    """Return the links of the groups' maximum spanning trees.

    Beside their ends stand their excesses, and whether both ends found each other.
    """
    pairs, excess = alike.pairs, alike.excess
    same = groups[pairs[:, 0]] == groups[pairs[:, 1]]
    inside = np.flatnonzero(same & (excess > alike.calibration.threshold))
    # The tree of least weight takes the pairs of most excess, found again by rank.
    ranked = inside[np.argsort(-excess[inside], kind="stable")]
    rank = np.arange(1.0, len(ranked) + 1)
    tree = minimum_spanning_tree(square(len(groups), pairs[ranked], rank))
    chosen = ranked[tree.data.astype(np.int64) - 1]
    return pairs[chosen], excess[chosen], alike.mutual[chosen]
