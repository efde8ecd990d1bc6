"""Whether ids that are given can be right: two that look like one, one like two.

Shapes: n scans, p pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse.csgraph import connected_components

from vit_dementia.audit.chains import square
from vit_dementia.audit.contraction import contract
from vit_dementia.audit.crossings import Crossings
from vit_dementia.audit.likenesses import Likenesses, look_alikes
from vit_dementia.audit.pictures import Pictures

_BEYOND = 1.0  # spreads above the threshold that the best pair of two ids must reach
_STRANGE = 4.5  # excess that strangers do not exceed among tens of thousands of pairs
_WHOLE = 0.8  # share of ids that must hang together before one that does not is odd
_MEET = 3.8  # joint excess at which the planes of two ids are those of one person
_LONGEST = 64  # scans of an id of which all pairs are compared


@dataclass(frozen=True)
class Verification:
    """What the images say against ids.

    Attributes:
        same_person: two ids that look like one person, and why.
        mixed: an id that looks like two people, and why.
    """

    same_person: tuple[tuple[str, str, str], ...]
    mixed: tuple[tuple[str, str], ...]

    def __bool__(self) -> bool:
        return bool(self.same_person or self.mixed)


def verify(
    pictures: Pictures,
    participant_ids: Sequence[str],
    *,
    alike: Likenesses | None = None,
) -> Verification:
    """Compare ids with what the images show.

    Args:
        pictures: every scan.
        participant_ids: who is said to be on each.
        alike: what looks alike, if that is known already.
    """
    alike = alike or look_alikes(pictures)
    names, codes = np.unique(np.array(participant_ids, dtype=str), return_inverse=True)
    twins = {(one, other): why for one, other, why in _twins(codes, alike)}
    mixed = dict(_mixed(codes, alike))
    if alike.crossings is not None:
        twins = {**_meeting(codes, alike.crossings), **twins}
        mixed = {**_passing(codes, alike.crossings), **mixed}
    return Verification(
        tuple(
            (str(names[one]), str(names[other]), why)
            for (one, other), why in sorted(twins.items())
        ),
        tuple((str(names[one]), why) for one, why in sorted(mixed.items())),
    )


def _twins(
    codes: Int[np.ndarray, " n"], alike: Likenesses
) -> Iterator[tuple[int, int, str]]:
    """Yield pairs of ids with scans that strangers do not have."""
    ids = np.sort(codes[alike.pairs], axis=1)
    excess, threshold = alike.excess, alike.calibration.threshold
    # Without next slices nothing tells what one person looks like, and few strangers
    # tell their own spread badly: there only copies speak, or whole volumes.
    least = threshold + _BEYOND
    if not alike.tells_people:
        least = alike.calibration.copy
    strong = np.flatnonzero((ids[:, 0] != ids[:, 1]) & (excess > threshold))
    rows_of: dict[tuple[int, int], list[int]] = {}
    for row in strong.tolist():
        rows_of.setdefault((int(ids[row, 0]), int(ids[row, 1])), []).append(row)
    for (one, other), rows in sorted(rows_of.items()):
        best = max(rows, key=lambda row: excess[row])
        if excess[best] > least:
            yield (
                one,
                other,
                f"{len(rows)} pairs of scans are more alike than strangers are, "
                f"the best with a correlation of {alike.likeness[best]:.3f}",
            )


def _mixed(
    codes: Int[np.ndarray, " n"], alike: Likenesses
) -> Iterator[tuple[int, str]]:
    """Yield ids whose scans fall apart, where nearly all others hang together."""
    if not alike.tells_people:
        return
    pairs, excess = _within(codes, alike)
    # What lies between two of somebody's scans may stand under another id.
    links = np.concatenate(
        [pairs[excess > _STRANGE], alike.pairs[alike.same_person > 0]]
    )
    graph = square(len(codes), links, np.ones(len(links)))
    piece_of = connected_components(graph, directed=False)[1]
    pieces = np.unique(np.stack([codes, piece_of], axis=1), axis=0)
    count = np.bincount(pieces[:, 0])
    several = np.bincount(codes) > 1
    if not several.any() or (count[several] == 1).mean() < _WHOLE:
        return
    for one in np.flatnonzero(several & (count > 1)).tolist():
        sizes = np.unique(piece_of[codes == one], return_counts=True)[1]
        listed = " + ".join(str(size) for size in sorted(sizes.tolist(), reverse=True))
        yield (
            one,
            f"its scans fall into {len(sizes)} sets ({listed}) that are as unlike "
            "as strangers",
        )


def _meeting(
    codes: Int[np.ndarray, " n"], crossings: Crossings
) -> dict[tuple[int, int], str]:
    """Return pairs of ids whose planes meet as those of one person do, and why."""
    pairs, _ = crossings.best()
    ids = np.unique(np.sort(codes[pairs], axis=1), axis=0)
    found = {}
    for one, other in ids[ids[:, 0] != ids[:, 1]].tolist():
        rows = np.flatnonzero((codes == one) | (codes == other))
        both, excess = crossings.among(rows)
        excess = excess[codes[both[:, 0]] != codes[both[:, 1]]]
        if excess.sum() / np.sqrt(len(excess)) > _MEET:
            lines = "line" if len(excess) == 1 else f"{len(excess)} lines"
            found[one, other] = f"their planes meet in the same {lines}"
    return found


def _passing(codes: Int[np.ndarray, " n"], crossings: Crossings) -> dict[int, str]:
    """Return ids with scans whose planes do not meet in one head, and why."""
    found = {}
    for one in np.unique(codes).tolist():
        rows = np.flatnonzero(codes == one)
        pairs, excess = crossings.among(rows)
        place = np.searchsorted(rows, pairs)
        group = contract(len(rows), place, excess - crossings.threshold)
        # Two scans of one view are never compared: that they are apart says nothing.
        if (group[place[:, 0]] != group[place[:, 1]]).any():
            sizes = sorted(np.bincount(group).tolist(), reverse=True)
            listed = " + ".join(map(str, sizes))
            found[one] = f"its planes ({listed}) do not meet in one head"
    return found


def _within(
    codes: Int[np.ndarray, " n"], alike: Likenesses
) -> tuple[Int[np.ndarray, "p 2"], Float[np.ndarray, " p"]]:
    """Return pairs of scans of one id, and by how much they are more alike."""
    inside = codes[alike.pairs[:, 0]] == codes[alike.pairs[:, 1]]
    found = [alike.pairs[inside]]
    by_id = np.argsort(codes, kind="stable")
    for rows in np.split(by_id, np.cumsum(np.bincount(codes))[:-1]):
        if len(rows) <= _LONGEST:
            one, other = np.triu_indices(len(rows), 1)
            found.append(np.stack([rows[one], rows[other]], axis=1))
    pairs = np.concatenate(found)
    likeness = alike.prints.likeness(pairs[:, 0], pairs[:, 1])
    return pairs, alike.excess_of(pairs, likeness)
