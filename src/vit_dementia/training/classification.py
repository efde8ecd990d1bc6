"""To tell classes apart: a loss on slices, judged by participant."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from vit_dementia.config import RunConfig, TrainConfig
from vit_dementia.data.batches import class_weights, effective_weights
from vit_dementia.data.cohort import Cohort
from vit_dementia.errors import ConfigError
from vit_dementia.inference.model_folder import write_model_folder
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.training.averaging import WeightMean
from vit_dementia.training.course import Course
from vit_dementia.training.feed import Feed
from vit_dementia.training.loop import Batch, Objective, classify
from vit_dementia.training.losses import LOSSES
from vit_dementia.training.material import Material
from vit_dementia.training.mixing import mix
from vit_dementia.training.optimizer import make_optimizer
from vit_dementia.training.validation import Best, HeldOut, score_held_out


@dataclass(frozen=True)
class Classification:
    """The goal of ``vit-dementia train``: a model that tells the classes apart."""

    config: RunConfig
    material: Material
    network: VisionTransformer
    feed: Feed
    fabric: Fabric

    def __post_init__(self) -> None:
        """Refuse an ordinal loss on classes in no known order."""
        cohort = self.material.cohort
        is_ordinal = self.config.train.loss == "ordinal"
        if is_ordinal and not cohort.ordered and len(cohort.classes) > 2:
            raise ConfigError(
                f"train.loss: found ordinal for {', '.join(cohort.classes)}; needs"
                " classes whose names tell their order of severity (rename them by"
                " --label-map), or --train.loss cross-entropy"
            )

    @cached_property
    def mean(self) -> WeightMean | None:
        """The running mean of the weights, if one is asked for."""
        decay = self.config.train.ema
        return WeightMean(self.network, decay) if decay else None

    @property
    def model(self) -> nn.Module:
        """The network, with the mean of its weights if there is one."""
        return self.network if self.mean is None else self.mean

    def objective(self) -> Objective:
        """Return the loss, classes weighted, labels smoothed, slices mixed if asked."""
        settings = self.config.train
        return classify(
            self.feed.prepare,
            class_weights=torch.tensor(self._class_weights(), dtype=torch.float32),
            label_smoothing=settings.label_smoothing,
            loss=LOSSES[settings.loss],
            mixed=self._mixed if settings.mixup or settings.cutmix else None,
        )

    def _class_weights(self) -> list[float]:
        settings, material = self.config.train, self.material
        num_classes, rows = len(material.cohort.classes), material.rows("train")
        if settings.balance == "weights":
            return class_weights(material.labels[rows], num_classes)
        if settings.balance == "effective":
            units = Course(self.config, material).units
            return effective_weights(
                [units[row] for row in rows],
                material.labels[rows],
                num_classes,
                beta=settings.effective_beta,
            )
        return [1.0] * num_classes

    def _mixed(
        self, batch: Batch, inputs: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        settings = self.config.train
        # From seed and step alone: the same whether or not the run was stopped.
        rng = np.random.default_rng([self.config.seed, batch.step])
        return mix(inputs, targets, rng, mixup=settings.mixup, cutmix=settings.cutmix)

    def optimizer(self, settings: TrainConfig) -> torch.optim.Optimizer:
        """Return the optimizer, with a rate for each layer if asked."""
        depth = self.network.architecture.depth
        optimizer = make_optimizer(self.network, settings, depth=depth)
        if self.mean is not None:
            self.mean.follow(optimizer)
        return optimizer

    def score(self, wrapped: nn.Module, role: str) -> HeldOut | None:
        """Return loss and balanced accuracy; None where nobody has this role."""
        with self._kept_weights():
            return score_held_out(
                wrapped,
                self.feed,
                self.material,
                role,
                by_visit=self.config.train.slice_pooling == "attention",
            )

    def keep(self, folder: Path, best: Best) -> None:
        """Write the model folder: all that is needed to predict."""
        cohort = self.material.cohort
        with self._kept_weights():
            write_model_folder(
                folder / "model",
                self.network,
                classes=cohort.classes,
                ordered=cohort.ordered,
                preprocessing=self.material.preprocessing,
                facts=self._facts(best),
            )

    def _kept_weights(self) -> AbstractContextManager[None]:
        return nullcontext() if self.mean is None else self.mean.in_place()

    def _facts(self, best: Best) -> dict[str, object]:
        """Say what the model card says of the training. No paths, no participants."""
        material, course = self.material, Course(self.config, self.material)
        unit, units = course.unit, np.array(course.units)
        return {
            "epoch": best.epoch,
            "seed": self.config.seed,
            "precision": str(self.fabric.strategy.precision.precision),
            f"training {unit}s": len(set(units[material.rows("train")])),
            f"validation {unit}s": len(set(units[material.rows("val")])),
            "training slices": len(material.rows("train")),
            "leakage": material.leak.sentence(),
            "allow_leakage": self.config.allow_leakage,
        }


def refuse_unpoolable(config: RunConfig, cohort: Cohort) -> None:
    """Refuse attention over slices where there are none, or they do not stay whole.

    Raises:
        ConfigError: naming each setting that contradicts it.
    """
    if config.train.slice_pooling == "mean":
        return
    beside = {
        "data.input": (config.data.input, "slices"),
        "data.slices_per_participant": (config.data.slices_per_participant, 0),
        "train.mixup": (config.train.mixup, 0),
        "train.cutmix": (config.train.cutmix, 0),
    }
    faults = [
        f"{name}: found {found} beside train.slice_pooling attention, which learns from"
        f" the slices of whole visits; needs {needed}"
        for name, (found, needed) in beside.items()
        if found != needed
    ]
    if not cohort.participants_known:
        faults.append(
            "train.slice_pooling: found attention, and nobody knows whose slices these"
            " are; needs participants (--participants FILE), or mean"
        )
    if faults:
        raise ConfigError.of(faults)
