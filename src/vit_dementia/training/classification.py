"""To tell classes apart: cross-entropy on slices, judged by participant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from vit_dementia.config import RunConfig, TrainConfig
from vit_dementia.data.batches import class_weights
from vit_dementia.inference.model_folder import write_model_folder
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.training.course import Course
from vit_dementia.training.feed import Feed
from vit_dementia.training.loop import Objective, classify
from vit_dementia.training.material import Material
from vit_dementia.training.optimizer import make_optimizer
from vit_dementia.training.validation import Best, HeldOut, score_held_out


@dataclass(frozen=True)
class Classification:
    """The goal of ``vit-dementia train``: a model that tells the classes apart."""

    config: RunConfig
    material: Material
    model: VisionTransformer
    feed: Feed
    fabric: Fabric

    def objective(self) -> Objective:
        """Return the cross-entropy, classes weighted and labels smoothed if asked."""
        settings, material = self.config.train, self.material
        weights = [1.0] * len(material.cohort.classes)
        if settings.balance == "weights":
            labels = material.labels[material.rows("train")]
            weights = class_weights(labels, len(weights))
        return classify(
            self.feed.prepare,
            class_weights=torch.tensor(weights, dtype=torch.float32),
            label_smoothing=settings.label_smoothing,
        )

    def optimizer(self, settings: TrainConfig) -> torch.optim.Optimizer:
        """Return the optimizer, with a rate for each layer if asked."""
        return make_optimizer(self.model, settings, depth=self.model.architecture.depth)

    def score(self, wrapped: nn.Module, role: str) -> HeldOut | None:
        """Return loss and balanced accuracy; None where nobody has this role."""
        return score_held_out(wrapped, self.feed, self.material, role)

    def keep(self, folder: Path, best: Best) -> None:
        """Write the model folder: all that is needed to predict."""
        cohort = self.material.cohort
        write_model_folder(
            folder / "model",
            self.model,
            classes=cohort.classes,
            ordered=cohort.ordered,
            preprocessing=self.material.preprocessing,
            facts=self._facts(best),
        )

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
