"""To fill in hidden patches: what ``vit-dementia pretrain`` teaches, without labels.

The masked auto-encoder of He et al. 2021 (arXiv 2111.06377) in the one loop. What is
kept is the encoder, a model folder without classes, which ``--init`` takes.

Shapes: ``b`` slices or volumes of one batch, ``v`` patches shown of each, ``n``
patches, ``p`` numbers of a patch, ``space`` two or three sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from lightning_fabric import Fabric
from torch import Tensor, nn

from vit_dementia.config import RunConfig, TrainConfig
from vit_dementia.data.draws import Draws, keys_for
from vit_dementia.errors import ConfigError
from vit_dementia.inference.forward import BATCH_SIZE
from vit_dementia.inference.model_folder import write_model_folder
from vit_dementia.models.mae import MaskedAutoencoder, choose_shown
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.training.course import Course
from vit_dementia.training.feed import SliceFeed
from vit_dementia.training.loop import Batch, Objective
from vit_dementia.training.material import Material
from vit_dementia.training.optimizer import make_optimizer
from vit_dementia.training.validation import Best, HeldOut

# Settings of train that mean nothing where there are no labels, no head and no mean.
_OF_CLASSES = (
    "loss", "slice_pooling", "label_smoothing", "mixup", "cutmix", "balance", "ema",
    "freeze",
)  # fmt: skip


@dataclass(frozen=True)
class Reconstruction:
    """The goal of ``vit-dementia pretrain``: an encoder that knows such images."""

    config: RunConfig
    material: Material
    model: MaskedAutoencoder
    feed: SliceFeed
    fabric: Fabric

    @classmethod
    def of(
        cls,
        config: RunConfig,
        material: Material,
        encoder: VisionTransformer,
        fabric: Fabric,
    ) -> Reconstruction:
        """Put a decoder behind an encoder, decided by the settings and the seed.

        Raises:
            ConfigError: if settings ask for what needs labels or a head.
        """
        _refuse_what_needs_labels(config.train)
        generator = torch.Generator().manual_seed(config.seed)
        model = MaskedAutoencoder(encoder, config.mask, generator)
        feed = SliceFeed(config, material, model, fabric)
        return cls(config, material, model, feed, fabric)

    def objective(self) -> Objective:
        """Return the loss of He et al.: squared error on the patches not shown."""

        def losses_of(
            model: nn.Module, batch: Batch
        ) -> tuple[Float[Tensor, " b"], None]:
            images = self.feed.prepare(batch)
            return model(images, self.shown(batch.keys)), None

        return losses_of

    def optimizer(self, settings: TrainConfig) -> torch.optim.Optimizer:
        """Return the optimizer of encoder and decoder."""
        depth = self.model.encoder.architecture.depth
        return make_optimizer(self.model, settings, depth=depth)

    @torch.inference_mode()
    def score(self, wrapped: nn.Module, role: str) -> HeldOut | None:
        """Return the mean loss of a part, the same patches hidden each time."""
        rows, losses = self.material.rows(role), []
        was_training = wrapped.training
        wrapped.eval()
        for start in range(0, len(rows), BATCH_SIZE):
            chosen = rows[start : start + BATCH_SIZE]
            losses.append(wrapped(self.scans(chosen), self.shown(self.keys(chosen))))
        wrapped.train(was_training)
        return HeldOut(loss=torch.cat(losses).mean().item()) if losses else None

    def keep(self, folder: Path, best: Best) -> None:
        """Write the encoder as a model folder without classes."""
        write_model_folder(
            folder / "model",
            self.model.encoder,
            classes=(),
            ordered=False,
            preprocessing=self.material.preprocessing,
            facts=self._facts(best),
        )

    def scans(self, rows: Int[np.ndarray, " b"]) -> Float[Tensor, "b c *space"]:
        """Return slices or volumes as the network reads them, without augmentation."""
        images = torch.from_numpy(np.ascontiguousarray(self.material.images[rows]))
        return self.material.preprocessing.normalize(self.fabric.to_device(images))

    def keys(self, rows: Int[np.ndarray, " b"]) -> Int[Tensor, "b 2"]:
        """Return the keys by which the same patches of slices are hidden each time."""
        return self.fabric.to_device(keys_for(self.config.seed, places=rows))

    def shown(self, keys: Int[Tensor, "b 2"]) -> Int[Tensor, "b v"]:
        """Return which patches of slices with these keys are shown."""
        # Turned around, lest the mask hang on what the augmentation draws.
        noise = Draws(keys.flip(1)).uniform(
            0.0, 1.0, self.model.decoder_pos_embed.shape[1]
        )
        return choose_shown(noise, hidden=self.config.mask.hidden)

    def _facts(self, best: Best) -> dict[str, object]:
        """Say what the model card says of the training. No paths, no participants."""
        course, rows = Course(self.config, self.material), self.material.rows("train")
        return {
            "goal": "pre-trained without labels by filling in hidden patches; tells no "
            "classes until it is fine-tuned",
            "epoch": best.epoch,
            "seed": self.config.seed,
            "hidden": self.config.mask.hidden,
            "precision": str(self.fabric.strategy.precision.precision),
            f"training {course.unit}s": len(set(np.array(course.units)[rows])),
            "training slices": len(rows),
        }


def _refuse_what_needs_labels(settings: TrainConfig) -> None:
    usual = TrainConfig()
    faults = [
        f"train.{name}: found {found!r}; pre-training has neither labels nor a head; "
        "leave it out"
        for name in _OF_CLASSES
        if (found := getattr(settings, name)) != getattr(usual, name)
    ]
    if faults:
        raise ConfigError.of(faults)
