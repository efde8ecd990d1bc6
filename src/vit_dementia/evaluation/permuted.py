"""What AUROC chance gives: labels dealt out anew among the participants scored.

Predictions stay as they are; over folds, labels are dealt within each fold. The p-value
is the share of deals, the true one among them, that score at least as high as the truth
(Phipson & Smyth 2010), so it is never 0.

Shapes: n participants, b deals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from vit_dementia.evaluation.intervals import REPLICATES
from vit_dementia.evaluation.measures import MEASURES
from vit_dementia.evaluation.rows import Rows


@dataclass(frozen=True)
class Null:
    """AUROCs that chance gave, and how often one reached the true AUROC."""

    aurocs: Float[np.ndarray, " b"]
    p_value: float


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
    aurocs = wins / pairs
    reached = int((aurocs >= value - 1e-12).sum())
    return Null(aurocs, (1 + reached) / (1 + deals))
