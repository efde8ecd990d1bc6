"""One predictor behind three doors: the command line, Python and the web page.

Shapes: ``n`` scans, ``r`` rows that a network reads of them, ``k`` classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vit_dementia import DISCLAIMER
from vit_dementia.data.participants import Identity, identify
from vit_dementia.errors import ScanError
from vit_dementia.evaluation.calibrated import NOT_SURE
from vit_dementia.evaluation.predictions import UNKNOWN, Predictions
from vit_dementia.inference.compute import Device, Precision, make_fabric
from vit_dementia.inference.folds import SavedFolds, read_models
from vit_dementia.inference.forward import BATCH_SIZE, softmax
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.inference.reader import MISFIT, Reader
from vit_dementia.preparation.spec import Preprocessing, rows_of, rows_per_scan
from vit_dementia.progress import Quiet, Watch

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Answer:
    """What the model says of some scans, and why others were refused.

    Attributes:
        predictions: the mean of what all members of the model say.
        told: what each of them says of the same scans.
        misfits: answered scans that show something where the model does not look; their
            answers, and those for whoever is on them, are abstentions.
    """

    model: SavedModel | SavedFolds
    predictions: Predictions
    told: tuple[Predictions, ...]
    refused: dict[str, str]
    misfits: frozenset[str] = frozenset()

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``predict --json``, described in docs/reference."""
        results = [
            _result(
                row,
                self.model.classes,
                self._early[row["path"]],
                [MISFIT] if row["path"] in self.misfits else [],
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

    def _answers(self, people: Predictions) -> list[str | None]:
        """Say yes, no or not sure of each participant; not sure if a scan misfits."""
        table = self.predictions.table
        odd = set(table.participant_id[table.path.isin(self.misfits)])
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
        return [
            {
                "participant_id": row["participant_id"],
                "num_scans": row["num_scans"],
                "probabilities": _probabilities(row, self.model.classes),
                "predicted": row["predicted"],
                "abstained": row["abstained"],
                "early": answer,
            }
            for row, answer in zip(
                self._pooled.table.to_dict("records"), early, strict=True
            )
        ]


def _of_known(told: Predictions) -> Predictions:
    """Return the rows whose participant is known."""
    return told.where((told.table.participant_id != UNKNOWN).to_numpy())


def _result(
    row: dict[Any, Any],
    classes: Sequence[str],
    early: str | None,
    reasons: list[str],
) -> dict[str, Any]:
    known = row["participant_id"] != UNKNOWN
    return {
        "path": row["path"],
        "participant_id": row["participant_id"] if known else None,
        "probabilities": _probabilities(row, classes),
        "predicted": row["predicted"],
        "abstained": early == NOT_SURE,
        "early": early,
        "quality": {"verdict": "not assessed", "reasons": reasons},
    }


def _probabilities(row: dict[Any, Any], classes: Sequence[str]) -> dict[str, float]:
    return {name: row[f"p_{name}"] for name in classes}


def _near(path: str) -> str:
    """Return the part of a path that a data set made: four levels, as deep as BIDS."""
    return "/".join(Path(path).parts[-4:])


class Predictor:
    """A trained model, ready for new scans.

    >>> predictor = Predictor.load("runs/x/model")  # doctest: +SKIP
    >>> predictor(["scan.png"]).predictions.probabilities  # doctest: +SKIP
    """

    def __init__(
        self,
        model: SavedModel | SavedFolds,
        *,
        device: Device = "auto",
        precision: Precision = "auto",
    ) -> None:
        self.model = model
        self.fabric = make_fabric(device, precision)
        self.readers = [Reader(member, self.fabric) for member in model.members]

    @classmethod
    def load(
        cls, path: str | Path, *, device: Device = "auto", precision: Precision = "auto"
    ) -> Predictor:
        """Open a model folder, the one of a run, or all models of a cross-validation.

        Raises:
            CheckpointError: if a piece is missing, damaged or of another format.
        """
        return cls(read_models(Path(path)), device=device, precision=precision)

    def __call__(
        self,
        paths: Iterable[str | Path],
        *,
        who: Mapping[str, Identity] | None = None,
        watch: Watch | None = None,
    ) -> Answer:
        """Answer for every scan; one that cannot be read is refused, not guessed.

        Args:
            paths: images.
            who: the participant of each path, where names of files do not tell.
            watch: who is told of the progress.
        """
        names = [str(path) for path in paths]
        answered: list[str] = []
        logits: list[list[np.ndarray]] = [[] for _ in self.readers]
        misfits: set[str] = set()
        refused: dict[str, str] = {}
        with (watch or Quiet()).count("predicting", len(names)) as bar:
            for start in range(0, len(names), BATCH_SIZE):
                chosen = names[start : start + BATCH_SIZE]
                images, readable = [], []
                for name in chosen:
                    try:
                        images.append(self._prepared(Path(name)))
                        readable.append(name)
                    except ScanError as error:
                        shown = name.encode("utf-8", "backslashreplace").decode()
                        refused[shown] = str(error)
                if images:
                    self._ask(images, readable, logits, misfits)
                    answered += readable
                bar.advance(len(chosen))
        none = np.empty((0, len(self.model.classes)), np.float32)
        each = [
            _by_scan(member, softmax(np.concatenate([*said, none])))
            for member, said in zip(self.model.members, logits, strict=True)
        ]
        known = who or {}
        identities = [known.get(name) or identify(_near(name)) for name in answered]
        told = [
            Predictions.from_arrays(
                self.model.classes,
                participant_ids=[one.participant_id for one in identities],
                session_ids=[one.session_id for one in identities],
                paths=answered,
                labels=[UNKNOWN] * len(answered),
                probabilities=probabilities,
            )
            for probabilities in (np.mean(each, axis=0), *each)
        ]
        return Answer(self.model, told[0], tuple(told[1:]), refused, frozenset(misfits))

    def _ask(
        self,
        images: Sequence[Mapping[object, np.ndarray]],
        names: Sequence[str],
        logits: Sequence[list[np.ndarray]],
        misfits: set[str],
    ) -> None:
        """Let every member read some scans, each prepared as it was trained on them."""
        for reader, said in zip(self.readers, logits, strict=True):
            way = _stored(reader.model.preprocessing)
            rows = rows_of(way, np.stack([one[way] for one in images]))
            read = reader(rows, np.arange(len(rows)))
            said.append(read.logits)
            fits = read.fits.reshape(len(names), rows_per_scan(way)).all(axis=1)
            misfits.update(np.array(names)[~fits].tolist())

    def _prepared(self, path: Path) -> dict[object, np.ndarray]:
        """Return the scan in every way that a member wants it."""
        return {
            way: way.read(path)
            for way in {_stored(one.preprocessing) for one in self.model.members}
        }


def _by_scan(
    model: SavedModel, probabilities: Float[np.ndarray, "r k"]
) -> Float[np.ndarray, "n k"]:
    """Return the mended probabilities of each scan, the mean of those of its slices."""
    mended = model.calibration.scaling(probabilities)
    count = rows_per_scan(model.preprocessing)
    num_scans, num_classes = len(mended) // count, mended.shape[1]
    return mended.reshape(num_scans, count, num_classes).mean(axis=1)


def _stored(preprocessing: Preprocessing) -> Preprocessing:
    """Return what makes the stored picture: mean and deviation are applied later."""
    return replace(preprocessing, mean=0.0, std=1.0)
