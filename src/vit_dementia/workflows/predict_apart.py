"""Batches of scans, read by the workers of a Dask cluster and answered here.

A worker gets names, not scans: it must see the run and the scans where this machine
does. It opens the model once and gives back what the networks said, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from vit_dementia.data.named import Places
from vit_dementia.errors import ConfigError
from vit_dementia.inference.compute import Device, Runtime, described
from vit_dementia.inference.kept import Said
from vit_dementia.inference.predictor import Predictor
from vit_dementia.workflows.apart import Died, each_apart


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A model that a worker opens, and how it has to be.

    Attributes:
        run: run folder, or its model folder; absolute.
        engine: what computes.
        device: where.
        sha256: of the model.
        way: device and precision in words.
    """

    run: Path
    engine: Runtime
    device: Device
    sha256: str
    way: str


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Scans that are read together; their names are absolute."""

    model: Opened
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class OnCluster:
    """Reads batches by a cluster's workers, as ``Predictor`` asks for it.

    Attributes:
        scheduler: its address: tcp://host:8786.
        model: that answers.
    """

    scheduler: str
    model: Opened

    def __call__(self, batches: Sequence[Sequence[str]]) -> Iterator[dict[str, Said]]:
        """Yield what is said of each batch, as they are done.

        A batch whose worker died is read again, scan by scan: only the one that ends
        its worker is refused.

        Raises:
            ConfigError: if the scheduler cannot be reached, or a worker sees another
                model or computes in another way.
            CheckpointError: if a worker cannot open the model.
        """
        died: list[str] = []
        for names, said in self._read(batches):
            if isinstance(said, Died):
                died += names
            else:
                yield said
        for names, said in self._read([[name] for name in died]):
            if isinstance(said, Died):
                refused = {name: f"{name}: {said.cause}" for name in names}
                yield {n: Said(refused=why, unread=True) for n, why in refused.items()}
            else:
                yield said

    def _read(
        self, batches: Sequence[Sequence[str]]
    ) -> Iterator[tuple[Sequence[str], dict[str, Said] | Died]]:
        if not batches:
            return
        absolute = [[str(Path(name).absolute()) for name in each] for each in batches]
        tasks = [Batch(model=self.model, names=tuple(each)) for each in absolute]
        for place, said in each_apart(read_batch, tasks, scheduler=self.scheduler):
            names = batches[place]
            if isinstance(said, Died):
                yield names, said
                continue
            told = zip(names, absolute[place], strict=True)
            yield (
                names,
                {name: _named(said[there], there, name) for name, there in told},
            )


def opened(run: Path, predictor: Predictor, engine: Runtime, device: Device) -> Opened:
    """Return what workers must open to answer as a predictor does."""
    return Opened(
        run=run.absolute(),
        engine=engine,
        device=device,
        sha256=predictor.model.sha256,
        way=described(predictor.fabric),
    )


def on_cluster(scheduler: str, model: Opened, places: Places) -> OnCluster:
    """Return what reads batches by a cluster's workers.

    Raises:
        ConfigError: if scans lie where only this process sees them.
    """
    if places.folder_of:
        raise ConfigError(
            "scheduler: found a zip, which is unpacked on this machine alone; needs "
            "the scans where the workers see them"
        )
    return OnCluster(scheduler=scheduler, model=model)


def read_batch(batch: Batch) -> dict[str, Said]:
    """Return what is said of a batch, in a worker.

    Raises:
        ConfigError: if this machine sees another model or computes in another way.
        CheckpointError: if the model cannot be opened.
    """
    return _predictor(batch.model).said_of(batch.names)


def predictor_of(run: Path, engine: Runtime, device: Device) -> Predictor:
    """Open a model in the runtime that is asked for.

    Raises:
        CheckpointError: if it cannot be opened.
        ConfigError: if the runtime or the device is not there.
    """
    if engine == "torch":
        return Predictor.load(run, device=device)
    from vit_dementia.export.engines import predictor_in

    return predictor_in(engine, run, device=device)


@lru_cache(maxsize=1)
def _predictor(model: Opened) -> Predictor:
    found = predictor_of(model.run, model.engine, model.device)
    if found.model.sha256 != model.sha256:
        raise ConfigError(
            f"scheduler: a worker finds another model at {model.run}; needs the one "
            "that stands here"
        )
    if (way := described(found.fabric)) != model.way:
        raise ConfigError(
            f"scheduler: a worker computes on {way}, this machine on {model.way}, and "
            "gets other numbers; needs like machines, or --device cpu"
        )
    return found


def _named(said: Said, there: str, name: str) -> Said:
    """Return a refusal that names a scan as it was asked about."""
    return replace(said, refused=said.refused.replace(there, name))
