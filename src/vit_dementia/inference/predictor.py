"""One predictor behind three doors: the command line, Python and the web page.

Shapes: ``r`` rows that a network reads of scans, ``q`` numbers that it says of each.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import nn

from vit_dementia.data.named import AS_NAMED, Places
from vit_dementia.data.participants import Identity, identify
from vit_dementia.errors import RefusedError, ScanError
from vit_dementia.evaluation.predictions import UNKNOWN, Predictions
from vit_dementia.inference.answer import Answer
from vit_dementia.inference.compute import Device, Precision, make_fabric
from vit_dementia.inference.folds import SavedFolds, read_models
from vit_dementia.inference.forward import BATCH_SIZE
from vit_dementia.inference.kept import Kept, Said
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.inference.of_scans import OfScans, by_scan
from vit_dementia.inference.reader import MISFIT, Reader
from vit_dementia.inference.rows import visits_of
from vit_dementia.inference.unlike import Away, refuse_unlike
from vit_dementia.preparation.replay import judged
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.preparation.spec import Preprocessing, rows_of, rows_per_scan
from vit_dementia.progress import Quiet, Watch
from vit_dementia.quality.verdict import Quality

Engine = Callable[[SavedModel], nn.Module]  # what is returned computes on the CPU
Reading = Callable[[Sequence[Sequence[str]]], Iterator[dict[str, Said]]]
Growing = Callable[[Callable[[], Answer]], object]


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
        kept: Kept | None = None,
        places: Places = AS_NAMED,
        growing: Growing = lambda _answer: None,
        reading: Reading | None = None,
    ) -> Answer:
        """Answer for every scan; one that cannot be read is refused, not guessed.

        Args:
            paths: images.
            who: the participant of each path, where names of files do not tell.
            watch: who is told of the progress.
            kept: what was read before, and is not read again; new scans are added.
            places: where scans lie that are named by their place in an archive.
            growing: called as batches are read, with what gives the answer so far.
            reading: reads batches of scans somewhere else, in any order.
        """
        names = [str(path) for path in paths]
        said: dict[str, Said] = {}
        with (watch or Quiet()).count("predicting", len(names)) as bar:
            if kept is not None:
                found = {name: kept.get(name) for name in names}
                said = {name: one for name, one in found.items() if one is not None}
                bar.advance(sum(name in said for name in names))
            for new in (reading or self._reading(places))(_batches(names, said)):
                if kept is not None:
                    kept.add(new)
                said |= new
                bar.advance(len(new))
                growing(partial(self._answer, names, said, who or {}))
        return self._answer(names, said, who or {})

    def _reading(self, places: Places) -> Reading:
        return lambda batches: (self.said_of(batch, places) for batch in batches)

    def _answer(
        self,
        names: Sequence[str],
        said: Mapping[str, Said],
        known: Mapping[str, Identity],
    ) -> Answer:
        """Return the answer for those scans of which something was said."""
        names = [name for name in names if name in said]
        answered = [name for name in names if not said[name].refused]
        identities = [known.get(name) or identify(near(name)) for name in answered]
        people = [one.participant_id for one in identities]
        sessions = [one.session_id for one in identities]
        visits = visits_of(people, sessions, answered)
        each = [
            by_scan(model, [said[name].logits[place] for name in answered], visits)
            for place, model in enumerate(self.model.members)
        ]
        together = OfScans.together(each)
        told = [
            Predictions.from_arrays(
                self.model.classes,
                participant_ids=people,
                session_ids=sessions,
                paths=answered,
                labels=[UNKNOWN] * len(answered),
                probabilities=one.probabilities,
                weights=one.weights,
            )
            for one in (together, *each)
        ]
        return Answer(
            self.model,
            told[0],
            tuple(told[1:]),
            {_shown(name): said[name].refused for name in names if said[name].refused},
            sum(said[name].unread for name in names),
            {name: list(said[name].misfits) for name in answered if said[name].misfits},
            {
                name: list(warnings)
                for name in answered
                if (warnings := said[name].quality) is not None
            },
            {
                name: distance
                for name in answered
                if (distance := said[name].distance) is not None
            },
            together.shares_of(answered),
        )

    def said_of(
        self, names: Sequence[str], places: Places = AS_NAMED
    ) -> dict[str, Said]:
        """Read some scans together; one that cannot be read is refused."""
        images, readable = [], []
        said: dict[str, Said] = {}
        quality: dict[str, list[str]] = {}
        distances: dict[str, float | None] = {}
        misfits: dict[str, list[str]] = {}
        for name in names:
            try:
                prepared, warnings, away = self._prepared(places.file_of(name))
            except ScanError as error:
                unread = not isinstance(error, RefusedError)
                cause = places.told(str(error))
                said[name] = Said(refused=cause, unread=unread)
                continue
            images.append(prepared)
            readable.append(name)
            distances[name] = away.distance
            if away.doubt:
                misfits[name] = [away.doubt]
            if warnings is not None:
                quality[name] = warnings
        if not images:
            return said
        logits: list[list[np.ndarray]] = [[] for _ in self.readers]
        self._ask(images, readable, logits, misfits)
        for place, name in enumerate(readable):
            warnings = quality.get(name)
            said[name] = Said(
                tuple(_rows_of(one, place, len(readable)) for (one,) in logits),
                tuple(misfits.get(name, ())),
                None if warnings is None else tuple(warnings),
                distances[name],
            )
        return said

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
            said.append(read.rows)
            by_scan = read.fits.reshape(len(names), rows_per_scan(way))
            fits = np.logical_and.reduce(by_scan, axis=1)
            for row, name in enumerate(names):
                if not fits[row] and MISFIT not in misfits.get(name, ()):
                    misfits.setdefault(name, []).append(MISFIT)

    def _prepared(
        self, path: Path
    ) -> tuple[dict[object, np.ndarray], list[str] | None, Away]:
        """Return the scan in every way that a member wants it, and what is amiss.

        The last is how far it is from the scans of the training.

        Raises:
            ScanError: if it cannot be read.
            RefusedError: if quality control refuses the volume, or it looks like no
                scan of the training.
        """
        images: dict[object, np.ndarray] = {}
        warnings: list[str] | None = None
        quality: dict[object, Quality] = {}
        for way in {_stored(one.preprocessing) for one in self.model.members}:
            if isinstance(way, SlicePreprocessing):
                images[way] = way.read(path)
                continue
            found = judged(path, way.prepared)
            images[way] = way(found.volume)
            quality[way] = found.quality
            reasons = [reason.text for reason in found.quality.reasons]
            warnings = [*found.volume.notes, *reasons]
        away = [
            refuse_unlike(
                member, path, rows_of(way, images[way][None]), quality.get(way)
            )
            for member in self.model.members
            for way in [_stored(member.preprocessing)]
        ]
        return images, warnings, max(away, key=lambda one: one.distance or 0.0)


def _batches(names: Sequence[str], done: Container[str]) -> list[list[str]]:
    """Return what is left to read; a scan is in the batch where it would be anyway.

    What a network says depends, in its last digits, on what it reads beside it: so a
    prediction that goes on says the same as one that was never stopped.
    """
    distinct = list(dict.fromkeys(names))
    batches = [
        [name for name in distinct[start : start + BATCH_SIZE] if name not in done]
        for start in range(0, len(distinct), BATCH_SIZE)
    ]
    return [batch for batch in batches if batch]


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def _rows_of(
    logits: Float[np.ndarray, "r q"], place: int, count: int
) -> tuple[tuple[float, ...], ...]:
    """Return the rows of one of so many scans."""
    mine = logits.reshape(count, -1, logits.shape[1])[place]
    return tuple(map(tuple, mine.tolist()))


def _stored(preprocessing: Preprocessing) -> Preprocessing:
    """Return what makes the stored picture: mean and deviation are applied later."""
    return replace(preprocessing, mean=0.0, std=1.0)
