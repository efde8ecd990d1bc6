"""One predictor behind three doors: the command line, Python and the web page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vit_dementia import DISCLAIMER
from vit_dementia.data.images import read_slice
from vit_dementia.data.participants import Identity, identify
from vit_dementia.errors import ScanError
from vit_dementia.evaluation.calibrated import NOT_SURE
from vit_dementia.evaluation.predictions import UNKNOWN, Predictions
from vit_dementia.inference.compute import Device, Precision, make_fabric
from vit_dementia.inference.forward import BATCH_SIZE, logits_of, softmax
from vit_dementia.inference.model_folder import SavedModel, read_model_folder
from vit_dementia.progress import Quiet, Watch

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Answer:
    """What the model says of some scans, and why others were refused."""

    model: SavedModel
    predictions: Predictions
    refused: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``predict --json``, described in docs/reference."""
        results = [
            _result(row, self.model.classes, self._early[row["path"]])
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

    def _known(self) -> Predictions:
        """Return the rows whose participant is known."""
        table = self.predictions.table
        return self.predictions.where((table.participant_id != UNKNOWN).to_numpy())

    @cached_property
    def _pooled(self) -> Predictions | None:
        """Pool the scans whose participant is known by mean probability."""
        known = self._known()
        if not len(known.table):
            return None
        people = known.by_participant()
        early = self.model.calibration.answers(people.probabilities)
        people.table["abstained"] = [answer == NOT_SURE for answer in early]
        return people

    @cached_property
    def _early(self) -> dict[str, str | None]:
        """Say for each path yes, no, not sure or nothing: of all its person's scans."""
        table, answers = self.predictions.table, self.model.calibration.answers
        alone = answers(self.predictions.probabilities)
        early = dict(zip(table.path, alone, strict=True))
        if self._pooled is not None:
            people = self._pooled
            told = zip(
                people.table.participant_id, answers(people.probabilities), strict=True
            )
            of_person = dict(told)
            for path, who in zip(table.path, table.participant_id, strict=True):
                early[path] = of_person.get(who, early[path])
        return early

    def _participants(self) -> list[dict[str, Any]]:
        """Say what stands in the answer for each participant who is known."""
        if self._pooled is None:
            return []
        early = self.model.calibration.answers(self._pooled.probabilities)
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


def _result(
    row: dict[Any, Any], classes: Sequence[str], early: str | None
) -> dict[str, Any]:
    known = row["participant_id"] != UNKNOWN
    return {
        "path": row["path"],
        "participant_id": row["participant_id"] if known else None,
        "probabilities": _probabilities(row, classes),
        "predicted": row["predicted"],
        "abstained": early == NOT_SURE,
        "early": early,
        "quality": {"verdict": "not assessed", "reasons": []},
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
        model: SavedModel,
        *,
        device: Device = "auto",
        precision: Precision = "auto",
    ) -> None:
        self.model = model
        self.fabric = make_fabric(device, precision)
        self.network = self.fabric.setup_module(model.network)

    @classmethod
    def load(
        cls, path: str | Path, *, device: Device = "auto", precision: Precision = "auto"
    ) -> Predictor:
        """Open a model folder, or the one of a run.

        Raises:
            CheckpointError: if a piece is missing, damaged or of another format.
        """
        return cls(read_model_folder(Path(path)), device=device, precision=precision)

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
        logits: list[np.ndarray] = []
        refused: dict[str, str] = {}
        with (watch or Quiet()).count("predicting", len(names)) as bar:
            for start in range(0, len(names), BATCH_SIZE):
                chosen = names[start : start + BATCH_SIZE]
                images = []
                for name in chosen:
                    try:
                        images.append(self._prepared(Path(name)))
                        answered.append(name)
                    except ScanError as error:
                        refused[name] = str(error)
                if images:
                    logits.append(self._logits(np.stack(images)))
                bar.advance(len(chosen))
        classes = self.model.classes
        stacked = np.concatenate([*logits, np.empty((0, len(classes)), np.float32)])
        told = who or {}
        identities = [told.get(name) or identify(_near(name)) for name in answered]
        predictions = Predictions.from_arrays(
            classes,
            participant_ids=[one.participant_id for one in identities],
            session_ids=[one.session_id for one in identities],
            paths=answered,
            labels=[UNKNOWN] * len(answered),
            probabilities=self.model.calibration.scaling(softmax(stacked)),
        )
        return Answer(self.model, predictions, refused)

    def _prepared(self, path: Path) -> np.ndarray:
        preprocessing = self.model.preprocessing
        return preprocessing(read_slice(path, channels=preprocessing.channels))

    def _logits(self, images: np.ndarray) -> np.ndarray:
        rows = np.arange(len(images))
        return logits_of(
            self.network, images, rows, self.model.preprocessing, self.fabric
        )
