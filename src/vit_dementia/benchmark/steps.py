"""What the real training loop spends a step on: loading, augmentation, learning.

Shapes: ``n`` scans, ``c`` channels, ``space`` their sides, ``s`` steps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from lightning_fabric import Fabric
from torch import Tensor

from vit_dementia.benchmark.timing import finish_on
from vit_dementia.config import RunConfig
from vit_dementia.data.augmentation import augment
from vit_dementia.data.draws import Draws, keys_for
from vit_dementia.inference.compute import described, deterministic, make_fabric
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.training.loop import Batch, classify, fit
from vit_dementia.training.optimizer import freeze, make_optimizer
from vit_dementia.training.start import begin_model

_NUM_SLICES = 1024  # a cohort of noise
_CLASSES = ("CN", "MCI", "AD")
_WARM_UP = 2  # steps that are not counted
_MIN_STEPS = 3
_SCHEDULE = 1_000_000  # steps that the schedule is told of: more than are taken


@dataclass(frozen=True)
class StepTimes:
    """Seconds of every step, by what they went into."""

    loading: Float[np.ndarray, " s"]
    augmentation: Float[np.ndarray, " s"]
    total: Float[np.ndarray, " s"]

    @property
    def share_of_data(self) -> float:
        """Return the share of a step that loading and augmentation take, in [0, 1]."""
        return float(np.median((self.loading + self.augmentation) / self.total))


def time_steps(
    model: VisionTransformer,
    images: UInt8[np.ndarray, "n c *space"],
    config: RunConfig,
    *,
    fabric: Fabric,
    seconds: float,
) -> StepTimes:
    """Train for some seconds on random slices and return what the time went into.

    A device that works on its own is waited for at each boundary, so that its work is
    counted where it belongs.

    Args:
        images: packed slices, such as a memory-mapped array of the cache.
        seconds: how long the counted steps last at least.
    """
    finish = finish_on(fabric.device)
    depth = model.architecture.depth
    freeze(model, config.train.freeze, depth=depth)
    optimizer = make_optimizer(model, config.train, depth=depth)
    wrapped, optimizer = fabric.setup(model, optimizer)
    loading: list[float] = []
    augmentation: list[float] = []

    def batches() -> Iterator[Batch]:
        rng = np.random.default_rng(config.seed)
        for step in count():
            start = time.perf_counter()
            rows = rng.integers(len(images), size=config.train.num_at_once)
            chosen = torch.from_numpy(np.ascontiguousarray(images[rows]))
            labels = torch.from_numpy(rows % model.architecture.num_classes)
            keys = keys_for(config.seed, step, places=rows)
            chosen, labels, keys = map(fabric.to_device, (chosen, labels, keys))
            batch = Batch(step, chosen, labels, keys)
            finish()
            loading.append(time.perf_counter() - start)
            yield batch

    def normalize(batch: Batch) -> Tensor:
        start = time.perf_counter()
        draws = Draws(batch.keys)
        changed = augment(batch.images.float() / 255.0, config.augment, draws)
        standardized = (changed - 0.5) / 0.25
        finish()
        augmentation.append(time.perf_counter() - start)
        return standardized

    objective = classify(
        normalize,
        class_weights=torch.ones(model.architecture.num_classes),
        label_smoothing=config.train.label_smoothing,
    )
    total: list[float] = []
    start = time.perf_counter()
    for _ in fit(
        wrapped,
        batches(),
        objective,
        optimizer,
        config.train,
        fabric=fabric,
        num_steps=_SCHEDULE,
        seed=config.seed,
    ):
        finish()
        now = time.perf_counter()
        total.append(now - start)
        start = now
        counted = total[_WARM_UP:]
        if len(counted) >= _MIN_STEPS and sum(counted) >= seconds:
            break
    return StepTimes(
        *(np.array(spent[_WARM_UP:]) for spent in (loading, augmentation, total))
    )


def random_slices(
    number: int, shape: tuple[int, ...], seed: int = 0
) -> UInt8[np.ndarray, "n c *space"]:
    """Return slices of noise, to compute on where the answer does not matter."""
    rng = np.random.default_rng(seed)
    return rng.integers(256, size=(number, *shape), dtype=np.uint8)


def share_of_data(
    config: RunConfig, image_size: int, *, seconds: float
) -> dict[str, Any]:
    """Return where the time of a step goes, slices coming from a file as in training.

    The file is mapped and larger than any batch; each step takes other slices of it.
    """
    size = config.data.image_size or (image_size, image_size)
    fabric = make_fabric(config.device, config.train.precision)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "slices.npy"
        np.save(file, random_slices(_NUM_SLICES, (config.data.channels, *size)))
        images = np.load(file, mmap_mode="r")
        with deterministic(asked=config.train.deterministic):
            times = time_steps(
                begin_model(config, classes=_CLASSES, image_size=size),
                images,
                config,
                fabric=fabric,
                seconds=seconds,
            )
        del images  # Windows removes no file that is mapped
    return {
        "where": described(fabric),
        "num_threads": torch.get_num_threads(),
        "batch_size": config.train.num_at_once,
        "loading_ms": 1e3 * float(np.median(times.loading)),
        "augmentation_ms": 1e3 * float(np.median(times.augmentation)),
        "step_ms": 1e3 * float(np.median(times.total)),
        "share_of_data": times.share_of_data,
        "num_steps": len(times.total),
    }
