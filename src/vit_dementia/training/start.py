"""The network a run begins with: fresh, or from weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from vit_dementia.config import Plane, RunConfig
from vit_dementia.errors import ConfigError
from vit_dementia.inference.model_folder import (
    PREPROCESSING,
    find_model_folder,
    read_preprocessing,
)
from vit_dementia.models.lora import add_lora
from vit_dementia.models.slice_scores import HIDDEN_DIM, weigh_slices
from vit_dementia.models.variants import architecture
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.models.weights import load_model, read_unnamed
from vit_dementia.preparation.slab import SlabPreprocessing

SCRATCH = "scratch"
DEFAULT_MODEL = "ViT-B/16"


def patch_size_of(config: RunConfig) -> int:
    """Return the side of a patch of the network that ``begin_model`` will give."""
    if config.vit.patch_size is not None:
        return config.vit.patch_size
    if config.init == SCRATCH:
        described = architecture(
            config.model or DEFAULT_MODEL,
            config.vit,
            image_size=(10_080, 10_080),  # a multiple of every patch size in the table
            channels=config.data.channels,
            num_classes=2,
        )
        return described.token_size[0]
    return read_unnamed(_source(config.init)).architecture.token_size[0]


def begin_model(
    config: RunConfig, *, classes: Sequence[str], image_size: tuple[int, ...]
) -> VisionTransformer:
    """Return the network before its first step, decided by the settings and the seed.

    Where slices are pooled by attention, it begins with equal weights: by the mean.

    Raises:
        ConfigError: if the settings contradict the weights.
        CheckpointError: if the weights cannot be used.
    """
    if config.init == SCRATCH:
        _refuse_inflation(config, needed=False)
        if config.train.lora_rank:
            raise ConfigError(
                f"train.lora_rank: found {config.train.lora_rank} beside --init"
                " scratch; only loaded weights are worth keeping; name some, or leave"
                " it out"
            )
        described = architecture(
            config.model or DEFAULT_MODEL,
            config.vit,
            image_size=image_size,
            channels=config.data.channels,
            num_classes=len(classes),
        )
        generator = torch.Generator().manual_seed(config.seed)
        model = VisionTransformer(described, generator, config.vit.initialization)
        _pool_slices(model, config)
        return model
    refuse_unusable(config)
    source = _source(config.init)
    read = read_unnamed(source)
    sides = read.architecture.image_size
    _refuse_inflation(config, needed=(len(sides), len(image_size)) == (2, 3))
    # A file that names its classes is matched by name; one that does not is never
    # taken to mean ours, in our order.
    model = load_model(
        source,
        num_classes=len(classes),
        image_size=image_size,
        channels=config.data.channels,
        classes=None if read.classes is None else classes,
        vit=config.vit,
        inflation=config.vit.inflation,
        plane=_plane_of(source),
    )
    _pool_slices(model, config)
    if rank := config.train.lora_rank:
        generator = torch.Generator().manual_seed(config.seed)
        add_lora(model, rank=rank, alpha=2.0 * rank, generator=generator)
    return model


def _refuse_inflation(config: RunConfig, *, needed: bool) -> None:
    if config.vit.inflation != "mean" and not needed:
        raise ConfigError(
            f"vit.inflation: found {config.vit.inflation!r} where nothing is inflated;"
            " needs --input volume, and --init with weights for slices"
        )


def _pool_slices(model: VisionTransformer, config: RunConfig) -> None:
    """Let the model weigh slices if that is asked for, as loaded if it does already."""
    is_asked = config.train.slice_pooling == "attention"
    if is_asked != bool(model.architecture.slice_attention):
        generator = torch.Generator().manual_seed(config.seed)
        weigh_slices(model, HIDDEN_DIM if is_asked else 0, generator)


def refuse_unusable(config: RunConfig) -> None:
    """Read the weights of ``config.init``, if it names some, before anything is made.

    Raises:
        ConfigError: if the settings name an architecture beside them.
        CheckpointError: if they cannot be read.
    """
    if config.init == SCRATCH:
        return
    if config.model is not None:
        raise ConfigError(
            f"model: found {config.model} beside --init {config.init}; the weights "
            "bring their own architecture; leave --model out"
        )
    read_unnamed(_source(config.init))


def _plane_of(source: str | Path) -> Plane:
    """Return in which plane the slices were cut that loaded weights were trained on."""
    if not (isinstance(source, Path) and (source / PREPROCESSING).is_file()):
        return "axial"
    read = read_preprocessing(source)
    return read.plane if isinstance(read, SlabPreprocessing) else "axial"


def _source(init: str) -> str | Path:
    """Return the weights of a run for its folder, everything else as it is."""
    path = Path(init)
    return find_model_folder(path) if path.is_dir() else init
