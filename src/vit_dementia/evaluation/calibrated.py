"""What a model learned about its own answers from people it was not trained on.

``calibration.json`` stands in the model folder::

    {"format": 1, "model": sha256 of the weights, "classes": [...], "positive": [...],
     "scaling": {"method": "temperature", "temperature", "factor": [...],
                 "shift": [...], "n_participants", "why"},
     "lines": {"balanced": 0.41, "specificity_90": 0.73, "specificity_95": 0.81},
     "lines_undefined": "" or why there are none, "n_participants": 30,
     "observed": [{"above": 0.0, "up_to": 0.4, "share", "low", "high", "num_positive",
                   "n_participants"}],
     "sets": {"level": 0.9, "threshold": 0.8 or null, "n_participants", "on", "why"}}

Scaling and lines are fitted on validation participants, prediction sets on participants
who chose nothing: after the test part was scored once, those of the test part.

Shapes: n rows, k classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from vit_dementia.errors import CheckpointError
from vit_dementia.evaluation.abstention import (
    conformal_threshold,
    prediction_sets,
    strangeness,
)
from vit_dementia.evaluation.metrics import UndefinedScoreError
from vit_dementia.evaluation.observed import ObservedBin, bin_of, observed_bins
from vit_dementia.evaluation.operating import (
    balanced_threshold,
    threshold_for_specificity,
)
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.rows import THRESHOLD, Rows
from vit_dementia.evaluation.scaling import Scaling, fit_scaling

FORMAT = 1
LEVEL = 0.9  # how often a prediction set is to hold the truth
FEWEST_OF_A_SIDE = 5  # validation participants, to draw a line between the sides
YES, NO, NOT_SURE = "yes", "no", "not sure"


@dataclass(frozen=True)
class Sets:
    """From which strangeness on a class is ruled out; None: see ``why``."""

    level: float
    threshold: float | None
    n_participants: int
    on: str
    why: str = ""


@dataclass(frozen=True)
class Calibration:
    """How the probabilities of a model are mended and read.

    Attributes:
        lines: thresholds of the positive classes' probability, by what they are for.
        lines_undefined: why there are none.
        n_participants: validation participants that all but the sets come from.
        sets: None until participants who chose nothing were scored.
        observed: how often it was true of those who were told about the same; none
            for too few.
    """

    classes: tuple[str, ...]
    positive: tuple[str, ...]
    scaling: Scaling
    lines: Mapping[str, float] = field(default_factory=dict)
    lines_undefined: str = ""
    n_participants: int = 0
    sets: Sets | None = None
    observed: tuple[ObservedBin, ...] = ()

    @classmethod
    def none(cls, classes: tuple[str, ...], why: str) -> Calibration:
        """Leave everything as the model says it.

        >>> Calibration.none(("A", "B"), "no validation part").lines_undefined
        'no validation part'
        """
        return cls(classes, classes[1:], Scaling.none(len(classes), why), {}, why)

    @classmethod
    def fit(
        cls, told: Predictions, *, positive: tuple[str, ...], known: bool = True
    ) -> Calibration:
        """Fit on what a model said of its validation participants.

        Args:
            told: a row for each scan.
            positive: the classes that are a "yes".
            known: whether it is known who the participants are.
        """
        if not known or not told.participants_known:
            return replace(
                cls.none(told.classes, "participants are not known"), positive=positive
            )
        people = told.labeled().by_participant().labeled()
        place = {who: row for row, who in enumerate(people.table.participant_id)}
        row_of = np.array([place.get(who, -1) for who in told.table.participant_id])
        mine = row_of >= 0
        scaling = fit_scaling(
            people.labels,
            told.probabilities[mine],
            row_of[mine].astype(int),
            None if told.weights is None else told.weights[mine],
        )
        calibration = cls(
            told.classes, positive, scaling, n_participants=len(people.table)
        )
        mended = calibration.applied_to(told).by_participant().labeled()
        rows = Rows.of(mended, positive=positive)
        bins = observed_bins(rows.is_positive, rows.score)
        calibration = replace(calibration, observed=bins)
        fewest = min(int(rows.is_positive.sum()), int((~rows.is_positive).sum()))
        if fewest < FEWEST_OF_A_SIDE:
            why = (
                f"{fewest} validation participants on one side; {FEWEST_OF_A_SIDE} "
                "are needed"
            )
            return replace(calibration, lines_undefined=why)
        try:
            lines = {"balanced": balanced_threshold(rows.is_positive, rows.score)}
        except UndefinedScoreError as cause:
            return replace(calibration, lines_undefined=str(cause))
        for percent in (90, 95):
            lines[f"specificity_{percent}"] = threshold_for_specificity(
                rows.is_positive, rows.score, specificity=percent / 100
            )
        return replace(calibration, lines=lines)

    def applied_to(self, told: Predictions) -> Predictions:
        """Return predictions with their probabilities mended."""
        if self.scaling.method == "none":
            return told
        table = told.table
        return Predictions.from_arrays(
            told.classes,
            participant_ids=table.participant_id.tolist(),
            session_ids=table.session_id.tolist(),
            paths=table.path.tolist(),
            labels=table.label.tolist(),
            probabilities=self.scaling(told.probabilities),
            weights=told.weights,
        )

    def with_sets(
        self, told: Predictions, *, on: str, level: float = LEVEL
    ) -> Calibration:
        """Return the same with prediction sets, calibrated on labeled participants.

        Args:
            told: of participants who neither trained nor chose anything; mended.
            on: who they are, in words.
            level: how often a set is to hold the truth.
        """
        people = told.labeled()
        if not told.participants_known:
            why = "participants are not known"
            return replace(self, sets=Sets(level, None, 0, on, why))
        people = people.by_participant().labeled()
        number = len(people.table)
        try:
            threshold = conformal_threshold(
                strangeness(people.labels, people.probabilities), level=level
            )
        except UndefinedScoreError as cause:
            return replace(self, sets=Sets(level, None, number, on, str(cause)))
        return replace(self, sets=Sets(level, threshold, number, on))

    def answers(self, probability: Float[np.ndarray, "n k"]) -> list[str | None]:
        """Say "yes" or "no" to the positive classes, or "not sure"; None: no line.

        "Not sure" where classes of both sides, or none, cannot be ruled out, or where
        line and set contradict each other.
        """
        kept = self.kept(probability)
        if not self.lines and kept is None:
            return [None] * len(probability)
        columns = np.array([name in self.positive for name in self.classes])
        return decided(
            probability, columns, self.lines.get("balanced", THRESHOLD), kept
        )

    def kept(
        self, probability: Float[np.ndarray, "n k"]
    ) -> Bool[np.ndarray, "n k"] | None:
        """Return the classes that cannot be ruled out; None where sets are unknown."""
        if self.sets is None or self.sets.threshold is None:
            return None
        return prediction_sets(probability, self.sets.threshold)

    def observed_at(
        self, probability: Float[np.ndarray, "n k"]
    ) -> list[ObservedBin | None]:
        """Return for each row how often it was true of those told about the same."""
        columns = np.array([name in self.positive for name in self.classes])
        return [
            bin_of(self.observed, float(score))
            for score in probability[:, columns].sum(axis=1)
        ]

    def to_dict(self, *, model: str) -> dict[str, Any]:
        """Return the content of ``calibration.json``."""
        return {
            "format": FORMAT,
            "model": model,
            "classes": list(self.classes),
            "positive": list(self.positive),
            "scaling": self.scaling.to_dict(),
            "lines": dict(self.lines),
            "lines_undefined": self.lines_undefined,
            "n_participants": self.n_participants,
            "observed": [one.to_dict() for one in self.observed],
            "sets": None if self.sets is None else asdict(self.sets),
        }

    @classmethod
    def from_dict(cls, told: Any, *, where: str) -> Calibration:
        """Read the content of ``calibration.json``.

        Raises:
            CheckpointError: if it is of another format or damaged.
        """
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise CheckpointError(f"{where}: format {FORMAT} is needed")
        try:
            return cls(
                classes=tuple(told["classes"]),
                positive=tuple(told["positive"]),
                scaling=Scaling.from_dict(told["scaling"]),
                lines={name: float(value) for name, value in told["lines"].items()},
                lines_undefined=str(told["lines_undefined"]),
                n_participants=int(told["n_participants"]),
                sets=None if told["sets"] is None else Sets(**told["sets"]),
                # Models of before this was measured have none.
                observed=tuple(map(ObservedBin.from_dict, told.get("observed", []))),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as cause:
            raise CheckpointError(f"{where}: is damaged ({cause})") from cause


def decided(
    probability: Float[np.ndarray, "n k"],
    is_positive: Bool[np.ndarray, " k"],
    line: float,
    kept: Bool[np.ndarray, "n k"] | None,
) -> list[str | None]:
    """Say "yes", "no" or "not sure" to the positive classes.

    "Not sure" where the set keeps classes of both sides, or none, or where line and set
    contradict each other.

    Args:
        probability: mended.
        is_positive: which classes are a "yes".
        line: "yes" above it.
        kept: the classes that cannot be ruled out; None: only the line speaks.

    >>> told, yes = np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([False, True])
    >>> decided(told, yes, 0.5, np.array([[True, False], [True, True]]))
    ['no', 'not sure']
    """
    above = probability[:, is_positive].sum(axis=1) > line
    sure = np.ones(len(probability), bool)
    if kept is not None:
        yes, no = kept[:, is_positive].any(axis=1), kept[:, ~is_positive].any(axis=1)
        sure = (yes != no) & (above == yes)
    return [
        (YES if one else NO) if certain else NOT_SURE
        for one, certain in zip(above, sure, strict=True)
    ]
