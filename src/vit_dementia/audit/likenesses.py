"""Which scans of a cohort look alike: copies, neighboring slices, and strangers.

Shapes: n scans, p pairs, q others, v planes, t side of a thumbnail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from vit_dementia.audit import chains
from vit_dementia.audit.crossings import Crossings, find_crossings
from vit_dementia.audit.evidence import Calibration, calibrate
from vit_dementia.audit.fingerprints import Fingerprints, fingerprints
from vit_dementia.audit.neighbors import candidates
from vit_dementia.audit.pictures import Pictures
from vit_dementia.audit.volumes import Levels, joined, levels

_CANDIDATES = 20  # for each image
_A_COPY = 0.975  # likeness of copies of a volume


@dataclass(frozen=True, eq=False)
class Likenesses:
    """Which scans look alike, and how much that means in this cohort.

    Attributes:
        pairs: rows of scans; each pair once, the smaller row first.
        mutual: whether both scans of a pair found each other, not one the other.
        likeness: correlation of fine detail at the best turn, in [-1, 1].
        calibration: what a likeness means.
        view: kind of view of each scan, from 0; -1: none.
        crossings: where views of one volume meet; None where they do not.
        levels: of volumes, what each reaches with strangers; None of pictures.
    """

    prints: Fingerprints
    pairs: Int[np.ndarray, "p 2"]
    mutual: Bool[np.ndarray, " p"]
    likeness: Float32[np.ndarray, " p"]
    calibration: Calibration
    view: Int[np.ndarray, " n"]
    crossings: Crossings | None
    levels: Levels | None = None

    @property
    def excess(self) -> Float[np.ndarray, " p"]:
        """By how many spreads each pair is more alike than strangers."""
        return self.excess_of(self.pairs, self.likeness)

    def excess_of(
        self, pairs: Int[np.ndarray, "q 2"], likeness: Float32[np.ndarray, " q"]
    ) -> Float[np.ndarray, " q"]:
        """Return by how many spreads other pairs are more alike than strangers."""
        if self.levels is not None:
            return self.levels.excess(pairs, likeness)
        return self.calibration.excess(likeness)

    @property
    def same_person(self) -> Float[np.ndarray, " p"]:
        """Evidence that each pair shows one person; positive speaks for it."""
        return self.calibration.evidence(self.excess)

    @property
    def tells_people(self) -> bool:
        """Whether a likeness short of a copy says that two scans show one person."""
        return self.calibration.sees_neighbors or self.levels is not None

    @property
    def copies(self) -> Bool[np.ndarray, " p"]:
        """Which pairs show the same image, one of them altered perhaps."""
        if self.levels is not None:
            return (self.likeness > _A_COPY) & (self.same_person > 0)
        found: np.ndarray = self.excess > self.calibration.copy
        return found

    @property
    def neighbors(self) -> Bool[np.ndarray, " p"]:
        """Which pairs show slices of one person side by side; none if none are seen."""
        found: np.ndarray = (self.same_person > 0) & ~self.copies
        return found & self.calibration.sees_neighbors


def look_alikes(pictures: Pictures, *, seed: int = 0) -> Likenesses:
    """Find what looks alike; the cost grows with the number of scans.

    Args:
        pictures: every scan.
        seed: of the search; it hardly matters.
    """
    if pictures.planes is not None:
        return _of_volumes(pictures.thumbnails, pictures.planes, seed)
    prints = fingerprints(pictures.thumbnails)
    pairs, mutual = candidates(prints, count=_CANDIDATES, seed=seed)
    likeness = prints.likeness(pairs[:, 0], pairs[:, 1])
    known = calibrate(len(prints), pairs, likeness)
    view = chains.views(len(prints), pairs, known.excess(likeness))
    # Where next slices show, they tell more: several of one view meet another at once.
    crossings = None if known.sees_neighbors else find_crossings(pictures, view)
    return Likenesses(prints, pairs, mutual, likeness, known, view, crossings)


def _of_volumes(
    axial: UInt8[np.ndarray, "n t t"], planes: UInt8[np.ndarray, "n v t t"], seed: int
) -> Likenesses:
    further = np.moveaxis(planes, 1, 0)
    prints = joined([fingerprints(plane) for plane in (axial, *further)])
    pairs, mutual = candidates(prints, count=_CANDIDATES, seed=seed)
    likeness = prints.likeness(pairs[:, 0], pairs[:, 1])
    known = levels(len(prints), pairs, likeness)
    one_view = np.zeros(len(prints), dtype=np.int64)
    return Likenesses(
        prints, pairs, mutual, likeness, known.calibration(), one_view, None, known
    )
