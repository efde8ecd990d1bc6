"""Labeled rows to score: what was told, what is true, whose they are.

Shapes: n rows, k classes, c of them with enough participants, b weightings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from vit_dementia.evaluation import weighted
from vit_dementia.evaluation.folds import weighted_auroc_within_folds
from vit_dementia.evaluation.intervals import People
from vit_dementia.evaluation.predictions import Predictions

FEWEST = 2  # participants of a class before anything is said about it
THRESHOLD = 0.5  # a row is called positive when its score is above it, unless told
Threshold = float | Float[np.ndarray, " n"]  # of all rows, or of each


@dataclass(frozen=True)
class Rows:
    """Labeled rows, their participants, and which classes count as positive."""

    classes: tuple[str, ...]
    label: Int[np.ndarray, " n"]
    probability: Float[np.ndarray, "n k"]
    predicted: Int[np.ndarray, " n"]
    participant: Shaped[np.ndarray, " n"]
    num_scans: Int[np.ndarray, " n"]  # pooled into each row
    positive: tuple[str, ...]
    ordered: bool = True  # whether the classes are in order of severity
    fold: Shaped[np.ndarray, " n"] | None = None
    participants_known: bool = True  # if not, every row counts as somebody else's
    threshold: Threshold = THRESHOLD

    @classmethod
    def of(
        cls,
        told: Predictions,
        *,
        positive: Sequence[str],
        ordered: bool = True,
        fold_of: Mapping[str, object] | None = None,
    ) -> Rows:
        """Take the rows of labeled predictions, pooled by participant or not.

        Where participants are not known every row counts as somebody else's, and
        ``fold_of`` is asked for its path.
        """
        table, n = told.table, len(told.table)
        ids = table.participant_id if told.participants_known else table.path
        fold = None
        if fold_of is not None:
            strange = sorted(set(ids) - set(fold_of))
            if strange:
                raise ValueError(f"no fold is given for {strange[:5]}")
            fold = np.array([str(fold_of[name]) for name in ids])
        alone = np.arange(n).astype(str)
        pooled = "num_scans" in table
        index_of = {name: i for i, name in enumerate(told.classes)}
        return cls(
            classes=told.classes,
            label=told.labels,
            probability=told.probabilities,
            predicted=np.array([index_of[name] for name in table.predicted], int),
            participant=ids.to_numpy(dtype=str) if told.participants_known else alone,
            num_scans=table["num_scans"].to_numpy() if pooled else np.ones(n, int),
            positive=tuple(positive),
            ordered=ordered,
            fold=fold,
            participants_known=told.participants_known,
        )

    def part(self, mine: Bool[np.ndarray, " n"]) -> Rows:
        """Return some of the rows."""
        own = np.ndim(self.threshold) > 0
        return replace(
            self,
            label=self.label[mine],
            probability=self.probability[mine],
            predicted=self.predicted[mine],
            participant=self.participant[mine],
            num_scans=self.num_scans[mine],
            fold=None if self.fold is None else self.fold[mine],
            threshold=np.asarray(self.threshold)[mine] if own else self.threshold,
        )

    def among(self, names: Sequence[str]) -> Rows:
        """Return the rows of some classes, as if there were no others.

        Probabilities are those of the classes left, made to sum to 1; where all of
        them are 0 they are equal.
        """
        columns = [self.classes.index(name) for name in names]
        mine = np.isin(self.label, columns)
        rows = self.part(mine)
        left = rows.probability[:, columns]
        total = left.sum(axis=1, keepdims=True)
        shares = np.full_like(left, 1 / len(columns))
        shares = np.divide(left, total, out=shares, where=total > 0)
        place = np.zeros(len(self.classes), int)
        place[columns] = np.arange(len(columns))
        return replace(
            rows,
            classes=tuple(names),
            label=place[rows.label],
            probability=shares,
            predicted=shares.argmax(axis=1),
            positive=tuple(name for name in self.positive if name in names),
        )

    @cached_property
    def is_positive(self) -> Bool[np.ndarray, " n"]:
        """Say which rows belong to a positive class."""
        return np.isin(self.label, self._positive_columns)

    @cached_property
    def score(self) -> Float[np.ndarray, " n"]:
        """Return the probability of all positive classes together."""
        return self.probability[:, self._positive_columns].sum(axis=1)

    @cached_property
    def flagged(self) -> Bool[np.ndarray, " n"]:
        """Say which rows are called positive."""
        return self.score > self.threshold

    @cached_property
    def enough(self) -> Int[np.ndarray, " c"]:
        """Return the classes with enough participants to be averaged over."""
        return np.flatnonzero(np.array(self.people_by_class) >= FEWEST)

    @cached_property
    def people_by_class(self) -> tuple[int, ...]:
        """Count the participants who have rows of each class."""
        classes = range(len(self.classes))
        return tuple(self.people_of(self.label == c) for c in classes)

    @property
    def one_row_each(self) -> bool:
        """Say whether every row is another participant."""
        return len(np.unique(self.participant)) == len(self.participant)

    def people_of(self, rows: Bool[np.ndarray, " n"]) -> int:
        """Count the participants of some rows."""
        return len(np.unique(self.participant[rows]))

    def people(self, strata: Shaped[np.ndarray, " n"] | None) -> People:
        """Say who is drawn: within folds, and within ``strata`` where given."""
        groups = np.zeros_like(self.label) if strata is None else strata
        return People.of(
            self.participant.tolist(), list(zip(self._folds, groups, strict=True))
        )

    def confusions(
        self, weights: Float[np.ndarray, "b n"]
    ) -> Float[np.ndarray, "b k k"]:
        """Return confusion matrices under many weightings."""
        return weighted.confusions(
            self.label, self.predicted, weights, num_classes=len(self.classes)
        )

    def auroc(
        self,
        is_positive: Bool[np.ndarray, " n"],
        score: Float[np.ndarray, " n"],
        weights: Float[np.ndarray, "b n"],
    ) -> Float[np.ndarray, " b"]:
        """Return AUROC under many weightings, comparing only within a fold."""
        return weighted_auroc_within_folds(is_positive, score, self._folds, weights)

    def by_fold(self) -> list[Bool[np.ndarray, " n"]]:
        """Return for each fold which rows it holds; without folds, all of them."""
        return [self._folds == name for name in np.unique(self._folds)]

    @property
    def _folds(self) -> np.ndarray:
        return np.zeros_like(self.label) if self.fold is None else self.fold

    @property
    def _positive_columns(self) -> list[int]:
        return [self.classes.index(name) for name in self.positive]
