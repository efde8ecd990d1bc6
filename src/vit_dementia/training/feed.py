"""What a network in training is fed: slices, or what a frozen backbone made of them.

A backbone that does not learn gives the same tokens in every epoch, so they are
computed once and kept in the cache; every epoch then costs what the head costs.

Shapes: ``n`` slices, ``m`` of them chosen, ``b`` of one batch, ``c`` channels, ``h w``
pixels, ``v`` views of a slice, ``t`` tokens the head reads, ``d`` width of a token,
``k`` classes, ``q`` of them and, where slices are pooled by attention, a score.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from lightning_fabric import Fabric
from torch import Tensor, nn

from vit_dementia.config import RunConfig
from vit_dementia.data.augmentation import augment
from vit_dementia.data.draws import Draws, keys_for
from vit_dementia.data.kept import digest, kept_array
from vit_dementia.files import fingerprint
from vit_dementia.inference.forward import BATCH_SIZE, logits_of
from vit_dementia.models.slice_scores import telling, told
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.progress import Watch
from vit_dementia.training.loop import Batch
from vit_dementia.training.material import Material
from vit_dementia.training.optimizer import learns_beyond_the_head
from vit_dementia.training.ranks import shared_out


@runtime_checkable
class Feed(Protocol):
    """Where batches come from and which network reads them."""

    @property
    def network(self) -> nn.Module:
        """The network that learns."""

    def take(self, rows: Int[np.ndarray, " b"], epoch: int) -> Tensor:
        """Return what stands for these rows of the cohort in an epoch."""

    def prepare(self, batch: Batch) -> Tensor:
        """Return what the network reads for a batch, augmentation included."""

    def logits(
        self, wrapped: nn.Module, rows: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m q"]:
        """Return what is said of rows as prediction would, without augmentation."""


def make_feed(
    config: RunConfig,
    material: Material,
    model: VisionTransformer,
    fabric: Fabric,
    *,
    cache: Path | None,
    watch: Watch,
) -> Feed:
    """Return slices, or kept features where nothing but the head learns."""
    if learns_beyond_the_head(model):
        return SliceFeed(config, material, telling(model), fabric)
    watch.say(_sentence(config))
    return FeatureFeed(config, material, model, fabric, cache=cache, watch=watch)


@dataclass(frozen=True)
class SliceFeed:
    """The slices themselves."""

    config: RunConfig
    material: Material
    network: nn.Module
    fabric: Fabric

    def take(
        self,
        rows: Int[np.ndarray, " b"],
        epoch: int,  # noqa: ARG002  # a slice is the same in every epoch
    ) -> Tensor:
        """Return the slices in 8 bit."""
        return torch.from_numpy(np.ascontiguousarray(self.material.images[rows]))

    def prepare(self, batch: Batch) -> Tensor:
        """Return the slices augmented, then standardized."""
        return _changed(batch.images, self.config, self.material, Draws(batch.keys))

    def logits(
        self, wrapped: nn.Module, rows: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m q"]:
        """Return what is said of the slices as they are."""
        material, fabric = self.material, self.fabric
        return shared_out(
            fabric,
            rows,
            lambda own: logits_of(
                wrapped, material.images, own, material.preprocessing, fabric
            ),
        )


class Head(nn.Module):
    """The part of a network that reads the tokens of a frozen backbone."""

    def __init__(self, network: VisionTransformer) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Float[Tensor, "b t d"]) -> Float[Tensor, "b q"]:
        """Return the logits, and the score if there is one."""
        return told(self.network, tokens)


class FeatureFeed:
    """The tokens that a frozen backbone gives for each slice, computed once.

    View 0 is the slice as it is, for training and for every score; further views are
    augmented and take turns with it from epoch to epoch.
    """

    def __init__(
        self,
        config: RunConfig,
        material: Material,
        model: VisionTransformer,
        fabric: Fabric,
        *,
        cache: Path | None,
        watch: Watch,
    ) -> None:
        self.config, self.material, self.model = config, material, model
        self.fabric, self.cache, self.watch = fabric, cache, watch
        self.network = Head(model)
        self._views: dict[int, Float[np.ndarray, "n t d"]] = {}

    def take(self, rows: Int[np.ndarray, " b"], epoch: int) -> Tensor:
        """Return the tokens of the view whose turn it is."""
        tokens = self._view(epoch % _num_views(self.config))[rows]
        return torch.from_numpy(np.ascontiguousarray(tokens))

    def prepare(self, batch: Batch) -> Tensor:
        """Return the tokens: nothing is left to do."""
        return batch.images

    @torch.inference_mode()
    def logits(
        self, wrapped: nn.Module, rows: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m q"]:
        """Return what is said for the slices as they are."""
        was_training = wrapped.training
        wrapped.eval()
        tokens = torch.from_numpy(np.ascontiguousarray(self._view(0)[rows]))
        found = wrapped(self.fabric.to_device(tokens)).float().cpu().numpy()
        wrapped.train(was_training)
        return found

    def _view(self, view: int) -> Float[np.ndarray, "n t d"]:
        if view not in self._views:
            like = self._tokens(0, np.arange(1))
            self._views[view] = kept_array(
                self._key(view),
                (len(self.material.images), *like.shape[1:]),
                np.float32,
                lambda out: self._fill(out, view),
                cache=self.cache,
            )
        return self._views[view]

    def _fill(self, out: Float[np.ndarray, "n t d"], view: int) -> None:
        what = "features of the frozen backbone"
        rows = self._rows(view)
        with self.watch.count(what, len(rows)) as bar:
            for start in range(0, len(rows), BATCH_SIZE):
                chosen = rows[start : start + BATCH_SIZE]
                out[chosen] = self._tokens(view, chosen)
                bar.advance(len(chosen))

    def _rows(self, view: int) -> Int[np.ndarray, " m"]:
        """Return the rows that a view is needed of: those that learn or choose."""
        parts = ["train"] if view else ["train", "val"]
        if self.config.train.watch_test and not view:
            parts.append("test")
        return np.flatnonzero(np.isin(self.material.roles, parts))

    @torch.inference_mode()
    def _tokens(
        self, view: int, rows: Int[np.ndarray, " b"]
    ) -> Float[np.ndarray, "b t d"]:
        """Return what the head reads of these rows."""
        images = torch.from_numpy(np.ascontiguousarray(self.material.images[rows]))
        images = self.fabric.to_device(images)
        was_training = self.model.training
        self.model.eval()
        self.fabric.to_device(self.model)
        with self.fabric.autocast():
            if view == 0:
                inputs = self.material.preprocessing.normalize(images)
            else:
                keys = keys_for(self.config.seed, view, places=rows)
                draws = Draws(self.fabric.to_device(keys))
                inputs = _changed(images, self.config, self.material, draws)
            tokens = self.model.forward_features(inputs)
        self.model.train(was_training)
        return self.model.reduced(tokens).float().cpu().numpy()

    def _key(self, view: int) -> str:
        """Name all that these features depend on."""
        config = self.config
        frozen = [
            (name, digest(parameter.detach().cpu().numpy()))
            for name, parameter in self.model.named_parameters()
            if not parameter.requires_grad
        ]
        return fingerprint(
            [
                "features",
                view,
                config.seed if view else None,
                repr(config.augment) if view else None,
                repr(self.model.architecture),
                repr(self.material.preprocessing),
                str(self.fabric.strategy.precision.precision),
                self.fabric.device.type,
                digest(self.material.images),
                digest(self._rows(view)),
                *frozen,
            ]
        )


def _num_views(config: RunConfig) -> int:
    return config.train.views if config.augment.enabled else 1


def _sentence(config: RunConfig) -> str:
    num = _num_views(config)
    how = "as it is" if num == 1 else f"in {num} views, {num - 1} of them augmented"
    return (
        f"only the head learns: each slice passes the backbone once, {how} "
        "(--train.views keeps more)"
    )


def _changed(
    images: Tensor, config: RunConfig, material: Material, draws: Draws
) -> Float[Tensor, "b c *space"]:
    changed = augment(images.float() / 255.0, config.augment, draws)
    return material.preprocessing.standardize(changed)
