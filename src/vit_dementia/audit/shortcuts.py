"""What besides anatomy tells the label: what a model could cheat with.

Each shortcut is scored by participant, between the first class and all others (none
against any dementia, where the classes are in order) and between each further class and
the rest; the comparison that it tells best is reported. The intervals are adjusted by
Bonferroni for all shortcuts and comparisons that were tried, so that a cohort without
any shortcut is flagged in at most 5 of 100 cases; an adjusted lower end above 0.60
flags.

Some of these are near to anatomy, and a flag is a reason to look, not a proof: a file
of a shrunken brain is compressed a little worse (``file size``), and the outline of a
skull-stripped brain is the brain's own (``head shape``). They are measured so that the
loss of tissue as such does not show: the outline is the convex hull, and the intensity
that of the brightest quarter of the head, which holds no fluid.

Shapes: n scans, p participants, f features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from vit_dementia.audit.pictures import Pictures
from vit_dementia.audit.telling import CHANCE, FEWEST_OF_A_SIDE, Told, tell
from vit_dementia.data.classes import UNKNOWN

FLAGGED_ABOVE = 0.60
ERROR_RATE = 0.05  # of flags on cohorts without a shortcut, all shortcuts together
_MOST_KINDS = 12  # of one category; the rarer ones count as one


@dataclass(frozen=True)
class Shortcut:
    """How well the label can be told from one thing that is not anatomy.

    Attributes:
        name: what it is told from.
        auroc: of the comparison told best; None if it cannot be said.
        low: lower end of the adjusted interval.
        high: upper end.
        flag: whether the lower end is above 0.60.
        comparison: which classes, in words; or why nothing can be said.
    """

    name: str
    auroc: float | None
    low: float | None
    high: float | None
    flag: bool
    comparison: str


Table = pd.DataFrame
Columns = Callable[[Table], Table]


def _numbers(*names: str) -> Columns:
    def columns(table: Table) -> Table:
        return table[list(names)].astype(np.float64)

    return columns


def _kinds(*names: str) -> Columns:
    """Return a column of zeros and ones for each combination found, commonest first."""

    def columns(table: Table) -> Table:
        combined = table[names[0]].astype(str)
        for name in names[1:]:
            combined = combined + " " + table[name].astype(str)
        known = (table[list(names)] != UNKNOWN).all(axis=1)
        common = combined[known].value_counts().index[:_MOST_KINDS]
        found = {kind: (combined == kind).astype(np.float64) for kind in common}
        kinds = pd.DataFrame(found or {UNKNOWN: np.nan}, index=table.index)
        if len(common) == 2:  # the second column would repeat the first
            kinds = kinds.iloc[:, :1]
        return kinds.where(known, np.nan)

    return columns


def _sizes(table: Table) -> Table:
    return pd.concat(
        [_numbers("height", "width")(table), _kinds("height", "width")(table)], axis=1
    )


SHORTCUTS: Mapping[str, Columns] = MappingProxyType(
    {
        "age": _numbers("age"),
        "sex": _kinds("sex"),
        "site": _kinds("site"),
        "file size": _numbers("bytes"),
        "file format": _kinds("format", "mode", "bits"),
        "image size": _sizes,
        "JPEG quality": _numbers("jpeg_quality"),
        "border": _numbers("border_mean"),
        "background": _numbers("background_level"),
        "head shape": _numbers(
            "head_area",
            "head_height",
            "head_width",
            "head_row",
            "head_column",
            "head_roundness",
        ),
        "mean intensity": _numbers("mean_intensity"),
    }
)
"""What is tried, and from which columns of the facts and of the cohort's table."""


def find_shortcuts(
    pictures: Pictures, participant_ids: Sequence[str], *, seed: int = 0
) -> tuple[Shortcut, ...]:
    """Return every shortcut that was tried, as in `SHORTCUTS`.

    Args:
        pictures: what was seen of the scans.
        participant_ids: who is on each, from the table or from the grouping. Ids that
            divide a person make the intervals too narrow.
        seed: of the division into folds.
    """
    people = _People.of(pictures, participant_ids)
    features = {name: people.mean(columns) for name, columns in SHORTCUTS.items()}
    tried = [
        (name, comparison)
        for name, values in features.items()
        for comparison in people.comparisons
        if values.can_tell(comparison.is_positive)
    ]
    level = 1 - ERROR_RATE / max(len(tried), 1)
    told: dict[str, list[tuple[Told, str]]] = {name: [] for name in features}
    for name, comparison in tried:
        known = features[name].known
        answer = tell(
            features[name].values[known],
            comparison.is_positive[known],
            level=level,
            seed=seed,
        )
        told[name].append((answer, comparison.words))
    return tuple(
        _strongest(name, answers) if answers else _untold(name, people, features[name])
        for name, answers in told.items()
    )


def _strongest(name: str, answers: Sequence[tuple[Told, str]]) -> Shortcut:
    best, words = max(answers, key=lambda answer: (answer[0].low, answer[0].auroc))
    return _shortcut(name, best, words)


def _shortcut(name: str, told: Told, words: str) -> Shortcut:
    flag = told.low > FLAGGED_ABOVE
    return Shortcut(name, told.auroc, told.low, told.high, flag, words)


def _untold(name: str, people: _People, values: _Values) -> Shortcut:
    """Say why nothing was tried: unknown, too few people, or the same in everybody."""
    if not values.known.any():
        return Shortcut(name, None, None, None, flag=False, comparison="unknown")
    if any(
        _enough(comparison.is_positive[values.known])
        for comparison in people.comparisons
    ):
        return _shortcut(name, CHANCE, "the same in everybody")
    words = f"too few to say: {FEWEST_OF_A_SIDE} people of each class are needed"
    return Shortcut(name, None, None, None, flag=False, comparison=words)


@dataclass(frozen=True)
class _Comparison:
    """Two groups of people."""

    words: str
    is_positive: Bool[np.ndarray, " p"]


@dataclass(frozen=True)
class _Values:
    """The features of every participant, and of whom they are known."""

    values: Float[np.ndarray, "p f"]
    known: Bool[np.ndarray, " p"]

    def can_tell(self, is_positive: Bool[np.ndarray, " p"]) -> bool:
        known = self.values[self.known]
        varies = bool(known.size) and bool((np.ptp(known, axis=0) > 0).any())
        return varies and _enough(is_positive[self.known])


def _enough(is_positive: Bool[np.ndarray, " p"]) -> bool:
    positives = int(is_positive.sum())
    return min(positives, len(is_positive) - positives) >= FEWEST_OF_A_SIDE


@dataclass(frozen=True)
class _People:
    """Who the scans show."""

    table: Table  # facts and what the cohort tells, one row a labelled scan
    person: Int[np.ndarray, " n"]  # position of each such scan's participant
    comparisons: tuple[_Comparison, ...]

    @classmethod
    def of(cls, pictures: Pictures, participant_ids: Sequence[str]) -> _People:
        cohort = pictures.cohort
        told = cohort.table[["age", "sex", "site"]].reset_index(drop=True)
        table = pd.concat([told, pictures.facts.reset_index(drop=True)], axis=1)
        labels = cohort.labels()
        labelled = labels >= 0
        ids = np.array(participant_ids, dtype=object)[labelled]
        _, person = np.unique(ids.astype(str), return_inverse=True)
        worst = np.full(person.max(initial=-1) + 1, -1)
        np.maximum.at(worst, person, labels[labelled])
        return cls(
            table[labelled].reset_index(drop=True),
            person,
            _comparisons(cohort.classes, worst),
        )

    def mean(self, columns: Columns) -> _Values:
        """Return the mean over each participant's scans, of those that are known."""
        values = columns(self.table).groupby(self.person).mean().to_numpy()
        return _Values(values, np.isfinite(values).all(axis=1))


def _comparisons(
    classes: Sequence[str], label: Int[np.ndarray, " p"]
) -> tuple[_Comparison, ...]:
    """Compare the first class with all others, then each further one with the rest."""
    first = _Comparison(f"{classes[0]} against all others", label > 0)
    if len(classes) == 2:
        return (first,)
    return first, *(
        _Comparison(f"{name} against all others", label == place)
        for place, name in enumerate(classes[1:], start=1)
    )
