"""Which volumes show one head: three planes of each compared at once.

A volume says more than a slice, and rarely has a neighbor: what a repeat of one head
looks like cannot be learned from the cohort. It need not be. Some scans are like
everybody, as blurred ones are, others like nobody; once each is compared with its own
level (as Auckenthaler, Carey & Lloyd-Thomas 2000 do with voices), strangers lie so
close together that a repeat lies far outside.

Shapes: n volumes, p pairs, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from vit_dementia.audit.evidence import Calibration, fisher, robust
from vit_dementia.audit.fingerprints import Fingerprints
from vit_dementia.data.volumes import Volume
from vit_dementia.preparation.slab import SlabPreprocessing

_THRESHOLD = 6.0  # spreads of strangers; on OASIS-1 they reach 5, repeats begin at 7
_TINY = 0.005  # least spread, in Fisher's z
_CORONAL = SlabPreprocessing(  # through the hippocampi
    size=(96, 96), spacing_mm=2.0, plane="coronal", slab_mm=(88.0, 92.0), count=1
)
_SAGITTAL = SlabPreprocessing(  # beside the middle, where hemispheres differ
    size=(96, 112), spacing_mm=2.0, plane="sagittal", slab_mm=(8.0, 12.0), count=1
)


@dataclass(frozen=True, eq=False)
class Levels:
    """What each volume reaches with strangers, in Fisher's z.

    Attributes:
        level: of each.
        middle: median of strangers beyond the mean of the two levels.
        spread: their robust standard deviation.
    """

    level: Float[np.ndarray, " n"]
    middle: float
    spread: float

    def excess(
        self, pairs: Int[np.ndarray, "p 2"], likeness: Float32[np.ndarray, " p"]
    ) -> Float[np.ndarray, " p"]:
        """Return by how many spreads pairs are more alike than strangers."""
        beyond = fisher(likeness) - self.level[pairs].mean(axis=1)
        return (beyond - self.middle) / self.spread

    def calibration(self) -> Calibration:
        """Return what an excess means: nothing is known of neighbors."""
        return Calibration(
            strangers=self.middle,
            spread=self.spread,
            neighbors=np.nan,
            neighbors_spread=_TINY,
            threshold=_THRESHOLD,
        )


def further_planes(volume: Volume) -> list[UInt8[np.ndarray, "h w"]]:
    """Return a coronal and a sagittal slice, beside the axial one that is looked at.

    Raises:
        ScanError: if the volume shows no head, or ends before them.
    """
    return [plane(volume)[0] for plane in (_CORONAL, _SAGITTAL)]


def joined(planes: Sequence[Fingerprints]) -> Fingerprints:
    """Return fingerprints of all planes at once; a likeness is the mean of theirs."""
    parts = np.concatenate([plane.parts for plane in planes], axis=1)
    return Fingerprints((parts / np.sqrt(len(planes))).astype(np.float16))


def levels(
    count: int, pairs: Int[np.ndarray, "p 2"], likeness: Float32[np.ndarray, " p"]
) -> Levels:
    """Learn each volume's level from its candidates; a repeat or two do not change it.

    Args:
        count: how many volumes there are.
        pairs: of volumes and their candidates, each once.
        likeness: of each pair, in [-1, 1].

    Of a single volume, which has none, nothing is learned.
    """
    if not len(pairs):
        return Levels(np.zeros(count), 0.0, _TINY)
    height = fisher(likeness)
    owner = np.concatenate([pairs[:, 0], pairs[:, 1]])
    order = np.argsort(owner, kind="stable")
    number = np.bincount(owner, minlength=count)
    own = np.split(np.concatenate([height, height])[order], np.cumsum(number)[:-1])
    level = np.array([np.median(one) if len(one) else 0.0 for one in own])
    middle, spread = robust(height - level[pairs].mean(axis=1))
    return Levels(level, middle, max(spread, _TINY))
