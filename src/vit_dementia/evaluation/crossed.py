"""What a cross-validation learned about the joint answers of its models.

All models of the folds answer for somebody new, each in its own mended probabilities;
their mean is told. "Not sure" comes from CV+ (Romano et al. 2020, arXiv 2006.02544,
Sec. 3): everybody trained some models and calibrates the one that never saw them.

``crossed.json`` stands in the folder of the cross-validation::

    {"format": 1, "classes": [...], "positive": [...], "level": 0.9,
     "why": "" or why there are no sets,
     "folds": [{"fold": 0, "model": sha256 of the weights, "line": 0.4 or null,
                "strange": [how strange the truth was to this model, of each participant
                            whom it was tested on, rising]}],
     "observed": [{"above": 0.0, "up_to": 0.4, ...}: as in ``calibration.json``]}

It holds no path of a scan and no participant.

Shapes: f folds, m rows to answer for, k classes, n participants of one fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from vit_dementia.errors import CheckpointError
from vit_dementia.evaluation.abstention import (
    cross_conformal_sets,
    fewest_for,
    strangeness,
)
from vit_dementia.evaluation.calibrated import Calibration, Sets, decided
from vit_dementia.evaluation.observed import ObservedBin, observed_bins
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.rows import THRESHOLD, Rows
from vit_dementia.evaluation.scaling import Scaling

FORMAT = 1
ON = "everybody, each by the fold that left them out (CV+)"


@dataclass(frozen=True)
class LeftOut:
    """What one fold's model said of those whom it was tested on.

    Attributes:
        fold: its number, and the name of its run.
        model: SHA-256 of its weights.
        line: the balanced threshold of its validation participants; None: undefined.
        strange: how strange the truth was to it, of each participant, rising.
    """

    fold: int
    model: str
    line: float | None
    strange: tuple[float, ...]

    @classmethod
    def of(
        cls, told: Predictions, *, fold: int, model: str, line: float | None
    ) -> LeftOut:
        """Return what is kept of a fold's mended out-of-fold predictions."""
        strange: list[float] = []
        labeled = told.labeled()
        if told.participants_known and len(labeled.table):
            people = labeled.by_participant().labeled()
            found = strangeness(people.labels, people.probabilities)
            strange = np.sort(found).tolist()
        return cls(fold, model, line, tuple(strange))


@dataclass(frozen=True)
class Crossed:
    """How the models of all folds answer together.

    Attributes:
        level: how often a set is to hold the truth.
        why: why there are no sets; empty if there are.
        observed: how often it was true of those who were told about the same, each by
            the model that never saw them; none for too few.
    """

    classes: tuple[str, ...]
    positive: tuple[str, ...]
    level: float
    folds: tuple[LeftOut, ...]
    why: str = ""
    observed: tuple[ObservedBin, ...] = ()

    @classmethod
    def of(
        cls,
        classes: Sequence[str],
        folds: Sequence[LeftOut],
        *,
        positive: Sequence[str],
        level: float,
        leak: str = "",
        observed: tuple[ObservedBin, ...] = (),
    ) -> Crossed:
        """Return the same with the reason why there are no sets, if there are none.

        Args:
            classes: in the order of the logits.
            folds: what each model said of those it was tested on.
            positive: the classes that are a "yes".
            level: how often a set is to hold the truth.
            leak: the reason for which the folds were allowed to leak, if they were.
            observed: of everybody left out; dropped where the folds leak.

        >>> fold = LeftOut(0, "", None, (0.1,) * 8)
        >>> Crossed.of("AB", [fold], positive="B", level=0.9).why
        'cannot calibrate at this level: 90% needs 9 participants, found 8'
        """
        people, fewest = sum(len(fold.strange) for fold in folds), fewest_for(level)
        why = ""
        if leak:
            why = f"the folds were allowed to leak: {leak}"
        elif not people:
            why = "participants are not known"
        elif people < fewest:
            why = (
                f"cannot calibrate at this level: {level:.0%} needs {fewest} "
                f"participants, found {people}"
            )
        seen = () if leak else observed
        return cls(tuple(classes), tuple(positive), level, tuple(folds), why, seen)

    @property
    def line(self) -> float | None:
        """The mean of the folds' lines, for the mean of their probabilities."""
        lines = [fold.line for fold in self.folds if fold.line is not None]
        return float(np.mean(lines)) if len(lines) == len(self.folds) else None

    def sets(self, told: Float[np.ndarray, "f m k"]) -> Bool[np.ndarray, "m k"] | None:
        """Return which classes cannot be ruled out; None: see ``why``."""
        if self.why:
            return None
        strange = np.concatenate([np.asarray(fold.strange) for fold in self.folds])
        fold = np.repeat(
            np.arange(len(self.folds)), [len(fold.strange) for fold in self.folds]
        )
        return cross_conformal_sets(strange, fold, told, level=self.level)

    def answers(self, told: Float[np.ndarray, "f m k"]) -> list[str | None]:
        """Say "yes" or "no" to the positive classes, or "not sure"; None: no line.

        Args:
            told: mended probabilities by the model of each fold.
        """
        kept = self.sets(told)
        if self.line is None and kept is None:
            return [None] * told.shape[1]
        columns = np.array([name in self.positive for name in self.classes])
        line = THRESHOLD if self.line is None else self.line
        return decided(told.mean(axis=0), columns, line, kept)

    @property
    def calibration(self) -> Calibration:
        """The same in the words of one model, for those who read ``calibration``."""
        people = sum(len(fold.strange) for fold in self.folds)
        line = self.line
        return Calibration(
            self.classes,
            self.positive,
            Scaling.none(len(self.classes), "each fold scales its own probabilities"),
            {} if line is None else {"balanced": line},
            "" if line is not None else "not every fold has a line",
            sets=Sets(
                self.level,
                None,
                people,
                ON,
                self.why or "each fold is asked on its own; there is no one threshold",
            ),
            observed=self.observed,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``crossed.json``."""
        return {
            "format": FORMAT,
            "classes": list(self.classes),
            "positive": list(self.positive),
            "level": self.level,
            "why": self.why,
            "folds": [
                {
                    "fold": fold.fold,
                    "model": fold.model,
                    "line": fold.line,
                    "strange": list(fold.strange),
                }
                for fold in self.folds
            ],
            "observed": [one.to_dict() for one in self.observed],
        }

    @classmethod
    def from_dict(cls, told: Any, *, where: str) -> Crossed:
        """Read the content of ``crossed.json``.

        Raises:
            CheckpointError: if it is of another format or damaged.
        """
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise CheckpointError(f"{where}: format {FORMAT} is needed")
        try:
            return cls(
                classes=tuple(told["classes"]),
                positive=tuple(told["positive"]),
                level=float(told["level"]),
                folds=tuple(
                    LeftOut(
                        fold=int(fold["fold"]),
                        model=str(fold["model"]),
                        line=None if fold["line"] is None else float(fold["line"]),
                        strange=tuple(map(float, fold["strange"])),
                    )
                    for fold in told["folds"]
                ),
                why=str(told["why"]),
                # Cross-validations of before this was measured have none.
                observed=tuple(map(ObservedBin.from_dict, told.get("observed", []))),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as cause:
            raise CheckpointError(f"{where}: is damaged ({cause})") from cause


def observed_out_of_fold(
    told: Sequence[Predictions], *, positive: Sequence[str]
) -> tuple[ObservedBin, ...]:
    """Return how often participants told about the same were truly positive.

    Nobody here trained the model that speaks, chose its epoch or fitted its scaling, so
    that nothing flatters. What is told to somebody new is the mean of all models, which
    is steadier than the word of one; of that these shares say nothing.

    Args:
        told: mended, by each fold's model of those whom it was tested on.
        positive: the classes that are a "yes".
    """
    rows = [
        Rows.of(part.labeled().by_participant().labeled(), positive=positive)
        for part in told
        if part.participants_known and len(part.labeled().table)
    ]
    if not rows:
        return ()
    return observed_bins(
        np.concatenate([one.is_positive for one in rows]),
        np.concatenate([one.score for one in rows]),
    )
