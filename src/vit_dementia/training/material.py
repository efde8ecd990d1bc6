"""What one training works on: readable scans, prepared, each with its role."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int, Shaped, UInt8

from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.kept import digest
from vit_dementia.data.leaks import Leak, find_leaks, refuse_leaks, with_seen
from vit_dementia.data.splits import Split, holdout, roles, split_from_cohort
from vit_dementia.errors import DataError
from vit_dementia.files import fingerprint
from vit_dementia.inference.rows import visits_of
from vit_dementia.preparation.fitting import preprocessing_for
from vit_dementia.preparation.foreground import find_foreground
from vit_dementia.preparation.pack import pack_scans
from vit_dementia.preparation.spec import Preprocessing
from vit_dementia.progress import Watch
from vit_dementia.training.ancestry import ancestors, seen_in

_FEW = 512  # training scans are enough to know their mean and deviation


@dataclass(frozen=True)
class Material:
    """The scans of a run, row by row as in the table of ``cohort``."""

    cohort: Cohort
    images: UInt8[np.ndarray, "n c *space"]
    roles: Shaped[np.ndarray, " n"]
    labels: Int[np.ndarray, " n"]
    preprocessing: Preprocessing
    leak: Leak

    def sentence(self) -> str:
        """Say how many scans, of how many people, play each role."""
        said = []
        for role in ("train", "val", "test"):
            rows = self.rows(role)
            people = self.cohort.table["participant_id"].iloc[rows].nunique()
            whose = (
                f" of {people} participants" if self.cohort.participants_known else ""
            )
            said.append(f"{role} {len(rows)} {self.preprocessing.what}s{whose}")
        return ", ".join(said)

    def foreground(self, patch_size: int) -> tuple[int, ...] | None:
        """Return the patches that show something in training scans; None for all."""
        sides = (patch_size,) * len(self.preprocessing.size)
        return find_foreground(self.images, sides, self.rows("train"))

    @property
    def fingerprint(self) -> str:
        """Name all that a training sees of the scans: what they show, roles, labels."""
        return fingerprint(
            [digest(self.images), self.roles.tolist(), self.labels.tolist()]
        )

    @cached_property
    def visits(self) -> Int[np.ndarray, " n"]:
        """Which visit each row is of."""
        table = self.cohort.table
        return visits_of(table["participant_id"], table["session_id"], table["path"])

    def rows(self, role: str) -> Int[np.ndarray, " m"]:
        """Return the rows that play a role: train, val or test."""
        return np.flatnonzero(self.roles == role)


def make_split(cohort: Cohort, config: RunConfig) -> Split:
    """Return the split the data bring, or a new one by participant."""
    data = config.data
    if cohort.brings_split:
        return split_from_cohort(cohort, val=data.val, seed=config.seed)
    spread = ("label",) if cohort.classes else ()  # scans without labels: no classes
    return holdout(
        cohort, val=data.val, test=data.test, seed=config.seed, stratify=spread
    )


def read_material(
    cohort: Cohort,
    split: Split,
    config: RunConfig,
    *,
    patch_size: int,
    cache: Path | None,
    watch: Watch,
) -> Material:
    """Check the split, read every slice, and measure what the network needs to know.

    Raises:
        LeakageError: if somebody stands on both sides and no reason allows it.
        DataError: if slices cannot be read, or a part of the split has no slices.
    """
    leak = _leak(cohort, split, config)
    if config.goal == "classify":  # nobody is scored by a pre-training
        refuse_leaks(leak, config.allow_leakage or None)
    preprocessing = preprocessing_for(cohort, config.data, patch_size=patch_size)
    readable, images = pack_scans(cohort, preprocessing, cache=cache, watch=watch)
    material = Material(
        cohort=readable,
        images=images,
        roles=roles(readable, split.folds[config.fold]),
        labels=readable.labels(),
        preprocessing=preprocessing,
        leak=leak,
    )
    rows = material.rows("train")
    lacking = set(range(len(cohort.classes))) - set(material.labels[rows].tolist())
    if lacking and config.goal == "classify":
        names = ", ".join(cohort.classes[index] for index in sorted(lacking))
        watch.say(f"no training participant in class: {names}; it cannot be learned")
    if not len(rows):
        raise DataError(
            f"fold {config.fold}: no {preprocessing.what}s to train on; needs "
            "participants in train"
        )
    mean, std = _brightness(images, rows, config.seed)
    return dataclasses.replace(
        material, preprocessing=dataclasses.replace(preprocessing, mean=mean, std=std)
    )


def _leak(cohort: Cohort, split: Split, config: RunConfig) -> Leak:
    """Say who tests and trains, be it in the runs that the weights come from."""
    parts = roles(cohort, split.folds[config.fold])
    leak = find_leaks(cohort, parts)
    runs = ancestors(config.init)
    if not runs:
        return leak
    seen = seen_in(runs)
    return with_seen(leak, cohort, parts, seen.participants, all_known=seen.all_known)


def _brightness(
    images: UInt8[np.ndarray, "n c *space"], rows: Int[np.ndarray, " m"], seed: int
) -> tuple[float, float]:
    """Return mean and standard deviation over training scans, on the scale [0, 1]."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(rows, size=min(_FEW, len(rows)), replace=False))
    counts = np.zeros(256)
    for row in chosen:  # one after the other: volumes are large
        counts += np.bincount(images[row].ravel(), minlength=256)
    share, value = counts / counts.sum(), np.arange(256) / 255.0
    mean = float(share @ value)
    return round(mean, 6), round(float(share @ (value - mean) ** 2) ** 0.5, 6)
