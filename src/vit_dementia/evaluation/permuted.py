"""What AUROC chance gives: labels dealt out anew among participants.

For a model they are dealt among those scored, and its predictions stay as they are;
over folds, within each fold. A linear floor is cheap enough for the stricter question:
it learns again, each time from other deals of the labels of *its training*, and scores
the same people with their true labels. The p-value is the share of deals, the true one
among them, that score at least as high as the truth (Phipson & Smyth 2010), so it is
never 0.

Shapes: n participants, b deals, u participants or images told of, k classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from vit_dementia.evaluation.intervals import REPLICATES
from vit_dementia.evaluation.measures import MEASURES
from vit_dementia.evaluation.rows import Rows

BINS = 50  # of the histogram, of equal width over [0, 1]


@dataclass(frozen=True)
class Null:
    """AUROCs that chance gave, and how often one reached the true AUROC."""

    aurocs: Float[np.ndarray, " b"]
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """Return what stands in ``metrics.json``: 95 of 100 lie from low to high."""
        low, high = np.quantile(self.aurocs, [0.025, 0.975])
        counts, _ = np.histogram(self.aurocs, bins=BINS, range=(0, 1))
        return {
            "p_value": self.p_value,
            "low": float(low),
            "high": float(high),
            "deals": len(self.aurocs),
            "histogram": counts.tolist(),
        }


@dataclass(frozen=True)
class Relearned:
    """What a floor says of some people, or images, after each deal of its labels."""

    names: tuple[str, ...]
    probability: Float[np.ndarray, "b u k"]

    @classmethod
    def together(cls, parts: Sequence[Relearned]) -> Relearned:
        """Put what was said of several folds side by side."""
        names = tuple(name for part in parts for name in part.names)
        return cls(names, np.concatenate([part.probability for part in parts], axis=1))

    def of(self, names: Sequence[str]) -> Float[np.ndarray, "b n k"]:
        """Return what is said of exactly these, in this order."""
        place = {name: row for row, name in enumerate(self.names)}
        return self.probability[:, [place[name] for name in names]]


def permuted_labels(rows: Rows, *, seed: int, deals: int = REPLICATES) -> Null:
    """Return the AUROCs of permuted labels; one row for each participant is needed.

    Raises:
        UndefinedScoreError: if AUROC itself is undefined.
        ValueError: if a participant has several rows, whose labels hang together.
    """
    if not rows.one_row_each:
        raise ValueError("labels are dealt to participants: pool their rows first")
    value = MEASURES["auroc"].value(rows)
    rng = np.random.default_rng(seed)
    wins, pairs = np.zeros(deals), 0
    for mine in rows.by_fold():
        is_positive, rank = rows.is_positive[mine], stats.rankdata(rows.score[mine])
        positives = int(is_positive.sum())
        dealt = rng.permuted(np.tile(is_positive, (deals, 1)), axis=1)
        wins += dealt @ rank - positives * (positives + 1) / 2  # Mann-Whitney's U
        pairs += positives * (len(rank) - positives)
    return _null(wins / pairs, value)


def relearned_labels(rows: Rows, told: Float[np.ndarray, "b n k"]) -> Null:
    """Return the AUROCs of a floor that learned permuted labels.

    Args:
        rows: of the floor that learned the true ones.
        told: what it says of the same rows after each deal.

    Raises:
        UndefinedScoreError: if AUROC itself is undefined.
    """
    value = MEASURES["auroc"].value(rows)
    columns = [name in rows.positive for name in rows.classes]
    score = told[:, :, columns].sum(axis=2)
    wins, pairs = np.zeros(len(told)), 0
    for mine in rows.by_fold():
        is_positive = rows.is_positive[mine]
        positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
        rank = stats.rankdata(score[:, mine], axis=1)[:, is_positive].sum(axis=1)
        wins += rank - positives * (positives + 1) / 2  # Mann-Whitney's U
        pairs += positives * negatives
    return _null(wins / pairs, value)


def _null(aurocs: Float[np.ndarray, " b"], value: float) -> Null:
    reached = int((aurocs >= value - 1e-12).sum())
    return Null(aurocs, (1 + reached) / (1 + len(aurocs)))
