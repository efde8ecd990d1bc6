"""A network with somebody's weights, made to fit what is wanted of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vit_dementia.config import Plane, VitConfig
from vit_dementia.errors import CheckpointError
from vit_dementia.models.positions import Rule
from vit_dementia.models.variants import with_dropout
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.models.weights.adapt import (
    ACROSS,
    Inflation,
    inflated,
    with_channels,
    with_head,
    with_image_size,
    with_patch_size,
)
from vit_dementia.models.weights.reading import named, read_unnamed
from vit_dementia.models.weights.record import Weights

_DEFAULT = VitConfig()
# Settings that need weights of their own: VitConfig's name to Architecture's.
_FIXED = {
    "stem": "stem",
    "locality": "locality",
    "registers": "num_registers",
    "layer_scale": "layer_scale",
    "qk_norm": "qk_norm",
}


def load_model(
    source: str | Path,
    *,
    num_classes: int | None = None,
    image_size: tuple[int, ...] | None = None,
    channels: int | None = None,
    classes: Sequence[str] | None = None,
    vit: VitConfig | None = None,
    rule: Rule | None = None,
    inflation: Inflation = "mean",
    plane: Plane = "axial",
    source_image_size: tuple[int, ...] | None = None,
) -> VisionTransformer:
    """Return a network with the weights of a file or folder of any known layout.

    What differs from the file is adapted and said in the log; the rest stays.

    Args:
        source: a file, a model folder, a run folder, or a name such as
            ``hf-hub:OWNER/NAME`` or ``torchvision:vit_b_16``.
        num_classes: outputs wanted; a head of another width is replaced by zeros.
        image_size: wanted; positions are resized by the rule of the source.
        channels: wanted; kernels are summed to one channel, or tiled.
        classes: what the outputs are to stand for, in order. A file that does not say
            is taken to mean these; a file that says others gets a new head.
        vit: dropout settings to train with; its sizes must be those of the file,
            except ``patch_size``, to which the kernel is resampled.
        rule: to resize positions by, instead of the source's own.
        inflation: how weights for slices become weights for volumes.
        plane: in which those slices were cut.
        source_image_size: that the file was trained on, where nothing tells.

    Raises:
        CheckpointError: if the file is not what it should be; nothing is loaded.
        ConfigError: if the wanted numbers contradict one another.
    """
    return load_weights(
        source,
        num_classes=num_classes,
        image_size=image_size,
        channels=channels,
        classes=classes,
        vit=vit,
        rule=rule,
        inflation=inflation,
        plane=plane,
        source_image_size=source_image_size,
    ).build()


def load_weights(
    source: str | Path,
    *,
    num_classes: int | None = None,
    image_size: tuple[int, ...] | None = None,
    channels: int | None = None,
    classes: Sequence[str] | None = None,
    vit: VitConfig | None = None,
    rule: Rule | None = None,
    inflation: Inflation = "mean",
    plane: Plane = "axial",
    source_image_size: tuple[int, ...] | None = None,
) -> Weights:
    """Return what ``load_model`` builds from, with classes, mean and deviation.

    Raises:
        CheckpointError: if the file is not what it should be.
        ConfigError: if the wanted numbers contradict one another.
    """
    vit = VitConfig() if vit is None else vit
    if num_classes is not None and classes is not None and num_classes != len(classes):
        raise CheckpointError(
            f"classes: {len(classes)} are named, num_classes is {num_classes}; needs as"
            " many"
        )
    weights = read_unnamed(
        source, num_heads=vit.num_heads, source_image_size=source_image_size
    )
    _refuse_other_size(weights, vit, source)
    wanted = classes if classes is not None else num_classes
    width = len(wanted) if isinstance(wanted, Sequence) else wanted
    if width is None or width == weights.architecture.num_classes:
        weights = named(weights, classes, source)
    if wanted is not None:
        weights = with_head(weights, wanted)
    if channels is not None:
        weights = with_channels(weights, channels)
    if vit.patch_size is not None:
        axes = len(weights.architecture.patch_size)
        weights = with_patch_size(weights, (vit.patch_size,) * axes)
    if image_size is not None:
        if len(image_size) == 3 and len(weights.architecture.image_size) == 2:
            depth = image_size[ACROSS[plane]]
            weights = inflated(weights, depth, inflation, plane)
        weights = with_image_size(weights, tuple(image_size), rule)
    description = with_dropout(weights.architecture, vit)
    if vit.pooling == "mean":
        description = replace(description, pooling="mean")
    elif vit.pooling == "map" != description.pooling:
        raise CheckpointError(
            f"{source}: has no weights for vit.pooling 'map'; needs 'cls' or 'mean'"
        )
    return replace(weights, architecture=description)


def _refuse_other_size(weights: Weights, vit: VitConfig, source: object) -> None:
    faults = [
        f"{name} is {found}, vit.{name} asks for {wanted}"
        for name in ("embed_dim", "depth", "num_heads", "mlp_dim")
        if (wanted := getattr(vit, name)) is not None
        and wanted != (found := getattr(weights.architecture, name))
    ]
    faults += [
        f"{name} is {found!r}, vit.{key} asks for {wanted!r}"
        for key, name in _FIXED.items()
        if (wanted := getattr(vit, key)) != getattr(_DEFAULT, key)
        and wanted != (found := getattr(weights.architecture, name))
    ]
    if faults:
        raise CheckpointError(
            f"{source}: {'; '.join(faults)}; loaded weights fix these numbers; leave"
            " them out, or train from scratch"
        )
