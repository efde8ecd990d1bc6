"""One predictor behind three doors: the command line, Python and the web page.

Shapes: ``n`` scans, ``r`` rows that a network reads of them, ``k`` classes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import nn

from vit_dementia.data.participants import Identity, identify
from vit_dementia.errors import ScanError
from vit_dementia.evaluation.predictions import UNKNOWN, Predictions
from vit_dementia.inference.answer import Answer
from vit_dementia.inference.compute import Device, Precision, make_fabric
from vit_dementia.inference.folds import SavedFolds, read_models
from vit_dementia.inference.forward import BATCH_SIZE, softmax
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.inference.reader import MISFIT, Reader
from vit_dementia.preparation.replay import judged
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.preparation.spec import Preprocessing, rows_of, rows_per_scan
from vit_dementia.progress import Quiet, Watch

Engine = Callable[[SavedModel], nn.Module]  # what is returned computes on the CPU


def near(path: str) -> str:
    """Return the part of a path that a data set made: four levels, as deep as BIDS."""
    return "/".join(Path(path).parts[-4:])


class Predictor:
    """A trained model, ready for new scans.

    >>> predictor = Predictor.load("runs/x/model")  # doctest: +SKIP
    >>> predictor(["scan.png"]).predictions.probabilities  # doctest: +SKIP

    Args:
        model: as saved.
        device: where to compute.
        precision: of matrix products.
        engine: puts a model into another runtime; PyTorch if left out.
    """

    def __init__(
        self,
        model: SavedModel | SavedFolds,
        *,
        device: Device = "auto",
        precision: Precision = "auto",
        engine: Engine | None = None,
    ) -> None:
        self.model = model
        self.fabric = make_fabric(device, precision)
        self.readers = [
            Reader(member, self.fabric, None if engine is None else engine(member))
            for member in model.members
        ]

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: Device = "auto",
        precision: Precision = "auto",
        engine: Engine | None = None,
    ) -> Predictor:
        """Open a model folder, the one of a run, or all models of a cross-validation.

        Raises:
            CheckpointError: if a piece is missing, damaged or of another format.
        """
        models = read_models(Path(path))
        return cls(models, device=device, precision=precision, engine=engine)

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
        misfits: dict[str, list[str]] = defaultdict(list)
        quality: dict[str, list[str]] = {}
        refused: dict[str, str] = {}
        with (watch or Quiet()).count("predicting", len(names)) as bar:
            for start in range(0, len(names), BATCH_SIZE):
                chosen = names[start : start + BATCH_SIZE]
                images, readable = [], []
                for name in chosen:
                    try:
                        prepared, warnings = self._prepared(Path(name))
                        images.append(prepared)
                        readable.append(name)
                        if warnings is not None:
                            quality[name] = warnings
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
        identities = [known.get(name) or identify(near(name)) for name in answered]
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
        return Answer(
            self.model, told[0], tuple(told[1:]), refused, dict(misfits), quality
        )

    def _ask(
        self,
        images: Sequence[Mapping[object, np.ndarray]],
        names: Sequence[str],
        logits: Sequence[list[np.ndarray]],
        misfits: dict[str, list[str]],
    ) -> None:
        """Let every member read some scans, each prepared as it was trained on them."""
        for reader, said in zip(self.readers, logits, strict=True):
            way = _stored(reader.model.preprocessing)
            rows = rows_of(way, np.stack([one[way] for one in images]))
            read = reader(rows, np.arange(len(rows)))
            said.append(read.logits)
            by_scan = read.fits.reshape(len(names), rows_per_scan(way))
            fits = np.logical_and.reduce(by_scan, axis=1)
            for row, name in enumerate(names):
                if not fits[row]:
                    _add(misfits, name, MISFIT)
            likeness = reader.model.likeness
            if likeness is not None:
                for row, reason in enumerate(likeness.reasons(rows)):
                    if reason:
                        _add(misfits, names[row // rows_per_scan(way)], reason)

    def _prepared(
        self, path: Path
    ) -> tuple[dict[object, np.ndarray], list[str] | None]:
        """Return the scan in every way that a member wants it, and what is amiss.

        Raises:
            ScanError: if it cannot be read, or quality control refuses the volume.
        """
        images: dict[object, np.ndarray] = {}
        warnings: list[str] | None = None
        for way in {_stored(one.preprocessing) for one in self.model.members}:
            if isinstance(way, SlicePreprocessing):
                images[way] = way.read(path)
                continue
            found = judged(path, way.prepared)
            images[way] = way(found.volume)
            reasons = [reason.text for reason in found.quality.reasons]
            warnings = [*found.volume.notes, *reasons]
        return images, warnings


def _add(misfits: dict[str, list[str]], name: str, reason: str) -> None:
    if reason not in misfits[name]:
        misfits[name].append(reason)


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
