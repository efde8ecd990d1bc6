"""Views of one volume meet in a line: who is on slices of different planes.

An axial and a coronal slice of one head share the row of voxels in which their planes
cross. Where all heads were brought to one frame before they were cut, that row lies at
the same place in every picture. It is found from the pictures themselves: along it each
of one view is like one single of the other, along others like none. Where each head was
cut in its own frame there is no such row, and nothing is told.

What everybody has in common along the row and what is broad is taken away before two
rows are compared, so that what is left is one person's.

Shapes: n scans, m and k scans of two views, l lines, s samples of a line, p pairs,
q some scans.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from PIL import Image
from scipy import ndimage

from vit_dementia.audit.pictures import Pictures, content

_SAMPLES = 96  # of a line: as many as a thumbnail has pixels
_VIEWS = (2, 4)  # fewest and most that are compared
_PEOPLE = (20, 2000)  # scans of a view: fewer prove nothing, more cost their square
_BROAD = 6.0  # samples: what is broader is everybody's
_DULL = 50.0  # gray levels, as the length of a line: weaker ones are noise
_TRIED = 40  # places that are tried: there the means of two views are most alike
_NEAR = 2  # lines around the best place that are tried, too
_ONLY = 0.8  # share of scans that must be each other's best
_LEAST = 2.5  # excess at which two scans may begin to be of one person


@dataclass(frozen=True, eq=False)
class Meeting:
    """How well each scan of one view fits each of another along their common line.

    Attributes:
        first: rows of the scans of one view.
        second: rows of those of the other.
        excess: by how many spreads a pair fits better than strangers.
    """

    first: Int[np.ndarray, " m"]
    second: Int[np.ndarray, " k"]
    excess: Float[np.ndarray, "m k"]


@dataclass(frozen=True, eq=False)
class Crossings:
    """The views of a cohort that meet.

    Attributes:
        view: kind of view of each scan, from 0; -1: another.
        meetings: of each two views that meet.
        threshold: excess above which two scans may show one person.
    """

    view: Int[np.ndarray, " n"]
    meetings: tuple[Meeting, ...]
    threshold: float

    def best(self) -> tuple[Int[np.ndarray, "p 2"], Float[np.ndarray, " p"]]:
        """Return pairs that are each other's best, and their excess."""
        pairs, excess = [], []
        for meeting in self.meetings:
            first, second = np.nonzero(mutual(meeting.excess))
            pairs.append(np.stack([meeting.first[first], meeting.second[second]], 1))
            excess.append(meeting.excess[first, second])
        return np.concatenate(pairs), np.concatenate(excess)

    def among(
        self, rows: Int[np.ndarray, " q"]
    ) -> tuple[Int[np.ndarray, "p 2"], Float[np.ndarray, " p"]]:
        """Return all pairs of some scans whose views meet, and their excess."""
        pairs, excess = [np.zeros((0, 2), dtype=np.int64)], [np.zeros(0)]
        for meeting in self.meetings:
            first = np.flatnonzero(np.isin(meeting.first, rows))
            second = np.flatnonzero(np.isin(meeting.second, rows))
            some = np.stack(np.meshgrid(first, second, indexing="ij"), -1).reshape(
                -1, 2
            )
            ends = [meeting.first[some[:, 0]], meeting.second[some[:, 1]]]
            pairs.append(np.stack(ends, axis=1))
            excess.append(meeting.excess[some[:, 0], some[:, 1]])
        return np.concatenate(pairs), np.concatenate(excess)

    def people(self) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """Return each scan's group, and whether every two of its views agree on it.

        A group has at most one scan of each view; the best pairs are joined first.
        """
        pairs, excess = self.best()
        group_of = np.arange(len(self.view))
        links = np.zeros(len(self.view), dtype=np.int64)
        for one, other in pairs[np.argsort(-excess, kind="stable")]:
            mine, theirs = group_of == group_of[one], group_of == group_of[other]
            if group_of[one] == group_of[other]:
                links[mine] += 1
            elif not set(self.view[mine]) & set(self.view[theirs]):
                links[mine | theirs] = links[one] + links[other] + 1
                group_of[theirs] = group_of[one]
        return np.unique(group_of, return_inverse=True)[1], links == len(self.meetings)


def mutual(excess: Float[np.ndarray, "m k"]) -> Bool[np.ndarray, "m k"]:
    """Return which pairs are each other's best.

    >>> mutual(np.array([[3.0, 1.0], [2.0, 0.0]])).tolist()
    [[True, False], [False, False]]
    """
    best = excess == excess.max(axis=1, keepdims=True)
    found: np.ndarray = best & (excess == excess.max(axis=0))
    return found


def find_crossings(pictures: Pictures, view: Int[np.ndarray, " n"]) -> Crossings | None:
    """Return where the views of a cohort meet; None if they do not, or if it is moot.

    Args:
        pictures: every scan.
        view: kind of view of each, from 0; -1: none. Pictures of another size are of
            another kind.
    """
    view = _kinds(pictures, view)
    rows_of = [np.flatnonzero(view == kind) for kind in range(view.max(initial=-1) + 1)]
    fewest, most = _PEOPLE
    if not _VIEWS[0] <= len(rows_of) <= _VIEWS[1] or not all(
        fewest <= len(rows) <= most for rows in rows_of
    ):
        return None
    squares = [_squares(pictures, rows) for rows in rows_of]
    meetings = []
    for one, other in combinations(range(len(rows_of)), 2):
        excess = _meet(squares[one], squares[other])
        if excess is None:
            return None
        meetings.append(Meeting(rows_of[one], rows_of[other], excess))
    own = np.concatenate(
        [meeting.excess[mutual(meeting.excess)] for meeting in meetings]
    )
    middle = float(np.median(own))
    spread = float(1.4826 * np.median(np.abs(own - middle)))
    threshold = max(_LEAST, middle / (1 + spread))
    return Crossings(view, tuple(meetings), threshold)


def _kinds(pictures: Pictures, view: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return kinds of one view and one size; what is odd is as most of its size are."""
    told = pictures.facts[["height", "width"]].to_numpy(dtype=np.int64)
    size = np.unique(told, axis=0, return_inverse=True)[1].ravel()
    usual = view.copy()
    for one in np.unique(size):
        known = view[(size == one) & (view >= 0)]
        if len(known):
            usual[(size == one) & (view < 0)] = np.bincount(known).argmax()
    found = np.full(len(view), -1, dtype=np.int64)
    both = np.column_stack([usual, size])[usual >= 0]
    found[usual >= 0] = np.unique(both, axis=0, return_inverse=True)[1].ravel()
    return found


@dataclass(frozen=True, order=True)
class _Place:
    """Where two views may meet: a row or a column of each, and in which sense."""

    down: tuple[bool, bool]  # a column of the one, of the other
    back: bool  # the other one is read backwards
    line: tuple[int, int]


def _squares(
    pictures: Pictures, rows: Int[np.ndarray, " m"]
) -> Float32[np.ndarray, "m l s"]:
    """Return the scans of one view, each stretched to a square: whole pictures meet."""
    facts = pictures.facts.iloc[rows]
    squares = np.empty((len(rows), _SAMPLES, _SAMPLES), dtype=np.float32)
    sizes = zip(facts["height"], facts["width"], strict=True)
    for place, (row, (height, width)) in enumerate(zip(rows, sizes, strict=True)):
        image = pictures.thumbnails[row][content(int(height), int(width))]
        square = Image.fromarray(image.astype(np.float32)).resize(
            (_SAMPLES, _SAMPLES), Image.Resampling.BILINEAR
        )
        squares[place] = np.asarray(square)
    return squares


def _meet(
    one: Float32[np.ndarray, "m l s"], other: Float32[np.ndarray, "k l s"]
) -> Float[np.ndarray, "m k"] | None:
    """Return the excess of each pair along the line in which two views meet, or None.

    Both must hold nearly the same people: each scan is the best of its own best.
    """
    found = max(_likely(one, other), key=lambda place: _clear(_fit(one, other, place)))
    best = max(_around(found), key=lambda place: _clear(_fit(one, other, place)))
    fit = _fit(one, other, best)
    middle = float(np.median(fit))
    spread = float(1.4826 * np.median(np.abs(fit - middle)))
    excess = (fit - middle) / max(spread, 1e-6)
    return excess if mutual(excess).sum() >= _ONLY * max(fit.shape) else None


def _likely(
    one: Float32[np.ndarray, "m l s"], other: Float32[np.ndarray, "k l s"]
) -> list[_Place]:
    """Return the places at which the means of two views are most alike."""
    found: list[tuple[float, _Place]] = []
    means = one.mean(axis=0), other.mean(axis=0)
    for across, along, back in product((False, True), repeat=3):
        here = means[0].T if across else means[0]
        there = means[1].T if along else means[1]
        read = there[:, ::-1] if back else there
        gap = np.linalg.norm(here[:, None] - read[None], axis=2)
        size = np.linalg.norm(here, axis=1)[:, None] + np.linalg.norm(read, axis=1)
        apart = np.where(size > 2 * _DULL, gap / np.maximum(size, 1), np.inf)
        for at in np.argsort(apart, axis=None)[:_TRIED].tolist():
            line = divmod(at, len(read))
            found.append((float(apart[line]), _Place((across, along), back, line)))
    return [place for _, place in sorted(found)[:_TRIED]]


def _around(place: _Place) -> Iterator[_Place]:
    """Yield a place and those a few lines from it."""
    for step in product(range(-_NEAR, _NEAR + 1), repeat=2):
        line = [
            int(np.clip(at + by, 0, _SAMPLES - 1))
            for at, by in zip(place.line, step, strict=True)
        ]
        yield replace(place, line=(line[0], line[1]))


def _fit(
    one: Float32[np.ndarray, "m l s"],
    other: Float32[np.ndarray, "k l s"],
    place: _Place,
) -> Float[np.ndarray, "m k"]:
    """Return the correlation of what is one person's along a line, of each pair."""
    first, second = (
        view[:, :, line] if down else view[:, line]
        for view, line, down in zip((one, other), place.line, place.down, strict=True)
    )
    fit: np.ndarray = _own(first) @ _own(second[:, ::-1] if place.back else second).T
    return fit.astype(np.float64)


def _own(lines: Float32[np.ndarray, "m s"]) -> Float32[np.ndarray, "m s"]:
    """Return what is one person's along a line, its length at most 1."""
    left = lines - lines.mean(axis=0)
    left = left - ndimage.gaussian_filter1d(left, _BROAD, axis=1)
    own: np.ndarray = left / (np.linalg.norm(left, axis=1, keepdims=True) + _DULL)
    return own


def _clear(fit: Float[np.ndarray, "m k"]) -> float:
    """Return by how much the best of each beats the second best, in the mean."""
    ways = [np.sort(fit, axis=axis).take([-2, -1], axis=axis) for axis in (0, 1)]
    return float(np.diff(ways[0], axis=0).mean() + np.diff(ways[1], axis=1).mean())
