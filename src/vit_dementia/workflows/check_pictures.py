"""Which pictures a report of a check shows: the worst pairs, and some people.

Shapes: n scans, t the side of a thumbnail, k chosen pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8

from vit_dementia.workflows.check_record import Shown

_MOST_PAIRS = 12
_MOST_PEOPLE = 4  # the surest and the least sure of them
_MOST_SLICES = 10  # of one person


def show_pairs(
    thumbnails: UInt8[np.ndarray, "n t t"],
    pairs: Sequence[tuple[int, int, str]],
    roles: Sequence[str],
) -> tuple[Shown, ...]:
    """Return the first pairs, what is in train at the left.

    Args:
        thumbnails: of all scans.
        pairs: two rows and what they have in common, in words.
        roles: the part of each scan.
    """
    shown = []
    for first, second, words in pairs[:_MOST_PAIRS]:
        rows = sorted((first, second), key=lambda row: roles[row] == "test")
        shown.append(_shown(words, thumbnails, rows, roles))
    return tuple(shown)


def show_people(
    thumbnails: UInt8[np.ndarray, "n t t"],
    ids: Sequence[str],
    slices: Int[np.ndarray, " n"],
    confidence: Float[np.ndarray, " n"],
    roles: Sequence[str],
) -> tuple[Shown, ...]:
    """Return a row of slices for the surest and for the least sure people.

    Of those in more than one part of the split, if anybody is; nobody of a single scan.

    Args:
        thumbnails: of all scans.
        ids: who is on each.
        slices: place of each among those of its person; -1: unknown.
        confidence: of each id; NaN: it was given.
        roles: the part of each scan, or nothing.
    """
    rows_of: dict[str, list[int]] = {}
    for row, one in enumerate(ids):
        rows_of.setdefault(one, []).append(row)
    several = {one: rows for one, rows in rows_of.items() if len(rows) > 1}
    divided = {
        one: rows
        for one, rows in several.items()
        if len({roles[row] for row in rows}) > 1
    }
    chosen = divided or several
    sure = np.nan_to_num(confidence, nan=1.0)
    ranked = sorted(chosen, key=lambda one: (sure[chosen[one]].mean(), one))
    half = _MOST_PEOPLE // 2
    ends = ranked[:half] + ranked[max(half, len(ranked) - half) :]
    return tuple(
        _shown(_words(sure[chosen[one]].mean(), chosen[one]), thumbnails, rows, roles)
        for one in ends
        for rows in [_some(sorted(chosen[one], key=lambda row: (slices[row], row)))]
    )


def _words(confidence: float, rows: Sequence[int]) -> str:
    return f"{len(rows)} slices as of one person, confidence {confidence:.2f}"


def _some(rows: Sequence[int]) -> list[int]:
    """Return at most so many rows, evenly from first to last."""
    num = min(len(rows), _MOST_SLICES)
    return [
        rows[place] for place in np.linspace(0, len(rows) - 1, num).round().astype(int)
    ]


def _shown(
    words: str,
    thumbnails: UInt8[np.ndarray, "n t t"],
    rows: Sequence[int],
    roles: Sequence[str],
) -> Shown:
    return Shown(words, thumbnails[list(rows)], tuple(str(roles[row]) for row in rows))
