"""A cost model: how long a recipe takes on a cohort, from what is measured here.

Hours are images times seconds an image; on other hardware, additions and
multiplications over the rate of its matrix products and the share of it reached.

Shapes: ``n`` scans, ``c`` channels, ``space`` their sides.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from vit_dementia.benchmark.steps import random_slices, time_steps
from vit_dementia.benchmark.timing import MIN_ROUNDS, finish_on, interleaved
from vit_dementia.benchmark.work import count_cost
from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import roles
from vit_dementia.errors import ScanError
from vit_dementia.inference.compute import described, make_fabric
from vit_dementia.inference.forward import BATCH_SIZE, logits_of
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.preparation.fitting import preprocessing_for
from vit_dementia.preparation.foreground import find_foreground
from vit_dementia.preparation.spec import (
    Preprocessing,
    rows_of,
    rows_per_scan,
    stored_shape,
)
from vit_dementia.training.material import make_split
from vit_dementia.training.start import begin_model, patch_size_of

_READ = 32  # files are enough to know how long one takes
_HOUR = 3600.0


@dataclass(frozen=True)
class Plan:
    """What a recipe costs.

    Attributes:
        num_files: read and prepared once.
        num_train: slices that one epoch shows.
        num_val: slices scored after each epoch.
        gflops_training: of one image in a step.
        gflops_forward: of one image that is only scored.
        train_rate: images a second in training, loading and augmentation included.
        forward_rate: images a second in scoring.
        read_rate: files a second, one core.
    """

    where: str
    num_files: int
    num_train: int
    num_val: int
    epochs: int
    folds: int
    num_parameters: int
    gflops_training: float
    gflops_forward: float
    train_rate: float
    forward_rate: float
    read_rate: float

    @property
    def hours(self) -> float:
        """Return the hours of all folds on this machine.

        >>> Plan("here", 0, 3600, 0, 2, 5, 1, 1.0, 1.0, 10.0, 10.0, 10.0).hours
        1.0
        """
        epoch = self.num_train / self.train_rate + self.num_val / self.forward_rate
        reading = self.num_files / self.read_rate
        return (reading + self.folds * self.epochs * epoch) / _HOUR

    @property
    def petaflops(self) -> float:
        """Return the additions and multiplications of all folds, in 10^15."""
        epoch = (
            self.num_train * self.gflops_training + self.num_val * self.gflops_forward
        )
        return self.folds * self.epochs * epoch / 1e6

    def hours_at(self, tflops: float, *, share: float, devices: int = 1) -> float:
        """Return the hours on hardware with this rate, if this share of it is reached.

        Args:
            tflops: 10^12 additions and multiplications a second of one device.
            share: of it that training reaches, the exchange of gradients included.
            devices: which train together.

        >>> plan = Plan("here", 0, 10**6, 0, 36, 1, 1, 1000.0, 1.0, 1.0, 1.0, 1.0)
        >>> plan.hours_at(100.0, share=0.5), plan.hours_at(100.0, share=0.5, devices=8)
        (200.0, 25.0)
        """
        return self.petaflops / (tflops / 1e3 * share * devices) / _HOUR

    def sentences(self) -> list[str]:
        """Say the model of the cost line by line."""
        folds = f"{self.folds} folds, " if self.folds > 1 else ""
        return [
            f"{self.num_parameters:,} parameters; {self.gflops_training:.1f} GFLOP an "
            f"image in training, {self.gflops_forward:.1f} in scoring",
            f"here ({self.where}): {self.train_rate:.1f} images/s in training, "
            f"{self.forward_rate:.1f} in scoring, {self.read_rate:.0f} files/s read",
            f"{folds}{self.epochs} epochs of {self.num_train:,} slices, "
            f"{self.num_val:,} scored after each: {self.petaflops:.3g} PFLOP, "
            f"{self.hours:.2g} hours here",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return numbers and hours as one JSON value."""
        return {
            **dataclasses.asdict(self),
            "hours": self.hours,
            "petaflops": self.petaflops,
        }


def plan(cohort: Cohort, config: RunConfig, *, folds: int, seconds: float) -> Plan:
    """Measure a few steps of the recipe here and return what the whole of it costs.

    Args:
        seconds: how long the counted steps last at least.
    """
    split = make_split(cohort, config)
    role = roles(cohort, split.folds[config.fold])
    preprocessing = preprocessing_for(
        cohort, config.data, patch_size=patch_size_of(config)
    )
    size, per_scan = preprocessing.size, rows_per_scan(preprocessing)
    model = begin_model(config, classes=cohort.classes, image_size=size)
    few, read_rate = _read_few(cohort.files(), preprocessing)
    if config.data.tokens == "foreground" and len(few):
        side = model.architecture.token_size
        model = model.seeing(find_foreground(few, side))
    fabric = make_fabric(config.device, config.train.precision)
    images = random_slices(4 * config.train.num_at_once, (config.data.channels, *size))
    training, forward = (
        count_cost(_on_meta(model), _empty(images), what)
        for what in ("training", "forward")
    )
    times = time_steps(model, images, config, fabric=fabric, seconds=seconds)
    rows = np.arange(BATCH_SIZE) % len(images)

    def score() -> None:
        logits_of(model, images, rows, preprocessing, fabric)

    scoring = interleaved(
        {"": score},
        seconds=seconds / MIN_ROUNDS,
        finish=finish_on(fabric.device),
    )
    return Plan(
        where=described(fabric),
        num_files=len(cohort),
        num_train=_num_shown(cohort, role == "train", config, per_scan=per_scan),
        num_val=per_scan * int(np.count_nonzero(role == "val")),
        epochs=config.train.epochs,
        folds=folds,
        num_parameters=training.num_parameters,
        gflops_training=training.flops / 1e9,
        gflops_forward=forward.flops / 1e9,
        train_rate=config.train.num_at_once / float(np.median(times.total)),
        forward_rate=BATCH_SIZE / float(np.median(scoring[""])),
        read_rate=read_rate,
    )


def _num_shown(
    cohort: Cohort,
    trains: np.ndarray[Any, np.dtype[np.bool_]],
    config: RunConfig,
    *,
    per_scan: int,
) -> int:
    """Return how many slices an epoch shows: some or all of each participant."""
    unit = "participant" if cohort.participants_known else "image"
    names = np.array(cohort.unit_ids(unit))[trains]
    most = config.data.slices_per_participant or per_scan * len(names)
    counts = Counter(names.tolist()).values()
    return sum(min(per_scan * number, most) for number in counts)


def _on_meta(model: VisionTransformer) -> VisionTransformer:
    """Return the network without numbers: what is counted costs nothing."""
    with torch.device("meta"):
        return VisionTransformer(model.architecture)


def _empty(images: UInt8[np.ndarray, "n c *space"]) -> torch.Tensor:
    return torch.empty(2, *images.shape[1:], device="meta")


def _read_few(
    files: list[Path], preprocessing: Preprocessing
) -> tuple[UInt8[np.ndarray, "n c *space"], float]:
    """Return a few scans from all over, and how many files a second that took.

    Bad files count too: a training lists them, and they take their time all the same.
    """
    step = max(1, len(files) // _READ)
    chosen = files[::step][:_READ]
    scans = []
    start = time.perf_counter()
    for file in chosen:
        try:
            scans.append(preprocessing.read(file))
        except ScanError:
            continue
    rate = len(chosen) / (time.perf_counter() - start)
    shape = (len(scans), *stored_shape(preprocessing))
    stored = np.array(scans, dtype=np.uint8).reshape(shape)
    return rows_of(preprocessing, stored), rate
