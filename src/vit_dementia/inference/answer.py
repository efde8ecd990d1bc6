"""What a model says of scans and of whoever is on them, as tables and as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vit_dementia import DISCLAIMER
from vit_dementia.evaluation.calibrated import NOT_SURE
from vit_dementia.evaluation.predictions import UNKNOWN, Predictions
from vit_dementia.inference.folds import SavedFolds
from vit_dementia.inference.model_folder import SavedModel

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Answer:
    """What the model says of some scans, and why others were refused.

    Attributes:
        predictions: the mean of what all members of the model say.
        told: what each of them says of the same scans.
        refused: why a scan has no answer, by path.
        unread: how many of these could not be read.
        misfits: answered scans that the model was not calibrated for, and why; their
            answers, and those for whoever is on them, are abstentions.
        quality: what quality control warns of, by path of a volume; nothing is a pass.
        distances: of answered scans from those of the training, where that is known: 1
            is the limit.
        slice_weights: how much each slice of an answered scan counts in its visit, from
            a model that weighs them.
    """

    model: SavedModel | SavedFolds
    predictions: Predictions
    told: tuple[Predictions, ...]
    refused: dict[str, str]
    unread: int = 0
    misfits: Mapping[str, list[str]] = field(default_factory=dict)
    quality: Mapping[str, list[str]] = field(default_factory=dict)
    distances: Mapping[str, float] = field(default_factory=dict)
    slice_weights: Mapping[str, list[float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``predict --json``, described in docs/reference."""
        results = [
            _result(
                row,
                self.model.classes,
                self._early[row["path"]],
                self._sets[row["path"]],
                self._observed[row["path"]],
                reasons=self.misfits.get(row["path"], []),
                quality=self.quality.get(row["path"]),
                distance=self.distances.get(row["path"]),
                slice_weights=self.slice_weights.get(row["path"]),
            )
            for row in self.predictions.table.to_dict("records")
        ]
        results += [
            {
                "path": path,
                "participant_id": None,
                "probabilities": None,
                "predicted": None,
                "abstained": True,
                "early": None,
                "set": None,
                "observed": None,
                "distance": None,
                "slice_weights": None,
                "quality": {"verdict": "refused", "reasons": [cause]},
            }
            for path, cause in self.refused.items()
        ]
        return {
            "format": FORMAT_VERSION,
            "model": {
                "sha256": self.model.sha256,
                "members": [member.sha256 for member in self.model.members],
                "classes": list(self.model.classes),
                "trained_on": trained_on(self.model),
                "allow_leakage": self.model.facts.get("allow_leakage", ""),
                "calibration": self.model.calibration.to_dict(model=self.model.sha256),
            },
            "results": results,
            "participants": self._participants(),
            "disclaimer": DISCLAIMER,
        }

    def write(self, folder: Path) -> None:
        """Write the tables of predictions by scan and by participant."""
        told = self.predictions
        told.table["abstained"] = [
            self._early[path] == NOT_SURE for path in told.table.path
        ]
        told.write(folder / "predictions.tsv")
        people = self._pooled
        if people is not None:
            people.write(folder / "predictions_participants.tsv")

    @cached_property
    def _pooled(self) -> Predictions | None:
        """Pool the scans whose participant is known by mean probability."""
        known = _of_known(self.predictions)
        if not len(known.table):
            return None
        people = known.by_participant()
        early = self._answers(people)
        people.table["abstained"] = [answer == NOT_SURE for answer in early]
        return people

    @cached_property
    def _early(self) -> dict[str, str | None]:
        """Say for each path yes, no, not sure or nothing: of all its person's scans."""
        table = self.predictions.table
        alone = self.model.answers(np.stack([one.probabilities for one in self.told]))
        early = dict(zip(table.path, alone, strict=True))
        early |= dict.fromkeys(self.misfits, NOT_SURE)
        if self._pooled is not None:
            people = self._pooled
            told = zip(people.table.participant_id, self._answers(people), strict=True)
            of_person = dict(told)
            for path, who in zip(table.path, table.participant_id, strict=True):
                early[path] = of_person.get(who, early[path])
        return early

    @cached_property
    def _sets(self) -> dict[str, list[str] | None]:
        """Return for each path the classes that its person's scans leave possible."""
        table = self.predictions.table
        found = dict(zip(table.path, self._kept(self.told), strict=True))
        if self._pooled is not None:
            people = self._pooled.table.participant_id
            of_person = dict(zip(people, self._kept_of_people, strict=True))
            for path, who in zip(table.path, table.participant_id, strict=True):
                found[path] = of_person.get(who, found[path])
        return found

    @cached_property
    def _observed(self) -> dict[str, dict[str, Any] | None]:
        """Return for each path how often it was true of people told about the same."""
        table = self.predictions.table
        found = dict(zip(table.path, self._seen(self.predictions), strict=True))
        if self._pooled is not None:
            people = self._pooled.table.participant_id
            of_person = dict(zip(people, self._seen(self._pooled), strict=True))
            for path, who in zip(table.path, table.participant_id, strict=True):
                found[path] = of_person.get(who, found[path])
        return found

    def _seen(self, told: Predictions) -> list[dict[str, Any] | None]:
        bins = self.model.calibration.observed_at(told.probabilities)
        return [None if one is None else one.to_dict() for one in bins]

    @property
    def _kept_of_people(self) -> list[list[str] | None]:
        return self._kept([_of_known(one).by_participant() for one in self.told])

    def _kept(self, told: Sequence[Predictions]) -> list[list[str] | None]:
        """Return the prediction set of each row as the names of its classes."""
        kept = self.model.sets(np.stack([one.probabilities for one in told]))
        if kept is None:
            return [None] * len(told[0].table)
        names = np.array(self.model.classes, dtype=object)
        return [list(names[row]) for row in kept]

    def _answers(self, people: Predictions) -> list[str | None]:
        """Say yes, no or not sure of each participant; not sure if a scan misfits."""
        table = self.predictions.table
        odd = set(table.participant_id[table.path.isin(list(self.misfits))])
        pooled = [_of_known(one).by_participant() for one in self.told]
        answers = self.model.answers(np.stack([one.probabilities for one in pooled]))
        return [
            NOT_SURE if who in odd else answer
            for who, answer in zip(people.table.participant_id, answers, strict=True)
        ]

    def _participants(self) -> list[dict[str, Any]]:
        """Say what stands in the answer for each participant who is known."""
        if self._pooled is None:
            return []
        early = self._answers(self._pooled)
        farthest: dict[str, float] = {}
        for path, who in self.predictions.table[["path", "participant_id"]].to_numpy():
            if path in self.distances:
                farthest[who] = max(self.distances[path], farthest.get(who, 0.0))
        return [
            {
                "participant_id": row["participant_id"],
                "num_scans": row["num_scans"],
                "probabilities": _probabilities(row, self.model.classes),
                "predicted": row["predicted"],
                "abstained": row["abstained"],
                "early": answer,
                "set": kept,
                "observed": observed,
                "distance": farthest.get(row["participant_id"]),
            }
            for row, answer, kept, observed in zip(
                self._pooled.table.to_dict("records"),
                early,
                self._kept_of_people,
                self._seen(self._pooled),
                strict=True,
            )
        ]


def trained_on(model: SavedModel | SavedFolds) -> str:
    """Say in a sentence on how many a model learned, and of whom nothing more."""
    told = [_learned(one.facts, one.preprocessing.what) for one in model.members]
    if len(told) == 1:
        return told[0]
    return f"{len(told)} models that answer together, the first {told[0]}"


def _learned(facts: Mapping[str, Any], what: str) -> str:
    counts = {
        words: facts[words]
        for part in ("training", "validation")
        for words in (f"{part} participants", f"{part} images")
        if isinstance(facts.get(words), int)
    }
    if not counts:
        return "trained on what its folder does not tell"
    scans = facts.get("training slices")
    of = f" ({scans} {what}s)" if isinstance(scans, int) else ""
    learned, *chosen = (f"{count} {words}" for words, count in counts.items())
    return f"trained on {learned}{of}" + "".join(f", chosen on {c}" for c in chosen)


def _of_known(told: Predictions) -> Predictions:
    """Return the rows whose participant is known."""
    return told.where((told.table.participant_id != UNKNOWN).to_numpy())


def _result(
    row: dict[Any, Any],
    classes: Sequence[str],
    early: str | None,
    kept: list[str] | None,
    observed: dict[str, Any] | None,
    *,
    reasons: list[str],
    quality: list[str] | None,
    distance: float | None,
    slice_weights: list[float] | None,
) -> dict[str, Any]:
    verdict = "not assessed" if quality is None else "pass"
    if reasons or quality:
        verdict = "warn"
    known = row["participant_id"] != UNKNOWN
    return {
        "path": row["path"],
        "participant_id": row["participant_id"] if known else None,
        "probabilities": _probabilities(row, classes),
        "predicted": row["predicted"],
        "abstained": early == NOT_SURE,
        "early": early,
        "set": kept,
        "observed": observed,
        "distance": distance,
        "slice_weights": slice_weights,
        "quality": {
            "verdict": verdict,
            "reasons": [*reasons, *(quality or [])],
        },
    }


def _probabilities(row: dict[Any, Any], classes: Sequence[str]) -> dict[str, float]:
    return {name: row[f"p_{name}"] for name in classes}
