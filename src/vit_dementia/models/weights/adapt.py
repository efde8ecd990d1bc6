"""Weights for another head, another number of channels, patches or image size.

Each function takes weights and gives weights; nothing is changed silently.

Shapes: d width of a token, c channels before, e channels after, p along each axis of a
patch before, q after.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from vit_dementia.errors import ConfigError
from vit_dementia.models.description import Architecture
from vit_dementia.models.positions import (
    Rule,
    along_axes,
    interpolation_matrix,
    resize_positions,
)
from vit_dementia.models.weights.describe import statistics_for_channels
from vit_dementia.models.weights.record import Weights

log = logging.getLogger(__name__)
Inflation = Literal["mean", "center"]


def with_head(weights: Weights, classes: Sequence[str] | int) -> Weights:
    """Return weights whose head tells these classes (or this many).

    A head that already does is kept; one that tells the same classes in another order
    has its rows reordered; any other is replaced by zeros (Sec. 3.2 of the paper).
    """
    wanted = None if isinstance(classes, int) else tuple(classes)
    width = classes if isinstance(classes, int) else len(classes)
    old, names = weights.architecture.num_classes, weights.classes
    if width == old and (wanted is None or names is None or wanted == names):
        return replace(weights, classes=names or wanted)
    state = dict(weights.state)
    if wanted and names and sorted(wanted) == sorted(names):
        order = [names.index(name) for name in wanted]
        for key in _head_keys(state):
            state[key] = state[key][order]
        log.warning("head: rows put in the order %s", ",".join(wanted))
    else:
        like = state["blocks.0.norm1.weight"]
        for key in [*_head_keys(state), "pre_logits.fc.weight", "pre_logits.fc.bias"]:
            state.pop(key, None)
        heads = ("head", "head_dist") if weights.architecture.distilled else ("head",)
        for head in heads if width else ():
            state[f"{head}.weight"] = like.new_zeros(width, len(like))
            state[f"{head}.bias"] = like.new_zeros(width)
        log.warning(
            "head: %s replaced by a new one for %d classes, starting at zero",
            f"that for {old} classes" if old else "none, so far,",
            width,
        )
    description = replace(weights.architecture, num_classes=width)
    if "pre_logits.fc.weight" not in state:
        description = replace(description, pre_logits=0)
    return replace(weights, state=state, architecture=description, classes=wanted)


def _head_keys(state: dict[str, Tensor]) -> list[str]:
    return [key for key in state if key.startswith(("head.", "head_dist."))]


def with_channels(weights: Weights, channels: int) -> Weights:
    """Return weights for images of another number of channels.

    Raises:
        ConfigError: if there are no patches whose kernel could be summed or tiled.
    """
    old = weights.architecture.channels
    if channels == old:
        return weights
    _refuse_other_stem(weights, f"data.channels: found {channels}; needs {old}")
    state = dict(weights.state)
    kernel = state["patch_embed.proj.weight"]
    state["patch_embed.proj.weight"] = kernel_for_channels(kernel, channels)
    log.warning("patch_embed: kernels of %d channels made into %d", old, channels)
    return replace(
        weights,
        state=state,
        architecture=replace(weights.architecture, channels=channels),
        mean=statistics_for_channels(weights.mean, channels),
        std=statistics_for_channels(weights.std, channels),
    )


def kernel_for_channels(
    kernel: Float[Tensor, "d c *p"], channels: int
) -> Float[Tensor, "d e *p"]:
    """Return a kernel that answers to repeated channels as the old one would.

    To one channel kernels are summed: a gray image gives what it gave repeated. To more
    they are tiled, and scaled to keep the sum.

    >>> kernel_for_channels(torch.ones(1, 3, 2, 2), 1)[0, 0, 0, 0].item()
    3.0
    """
    old = kernel.shape[1]
    if channels == 1:
        return kernel.sum(dim=1, keepdim=True)
    times = -(-channels // old)  # rounded up
    tiled = kernel.repeat(1, times, *(1,) * (kernel.ndim - 2))[:, :channels]
    return tiled * (old / channels)


def _refuse_other_stem(weights: Weights, needed: str) -> None:
    """Refuse to adapt what is not one matrix a patch.

    The kernels of a ResNet are standardized, so that their sum is not what it seems.
    """
    stem = weights.architecture.stem
    if stem != "patch":
        raise ConfigError(f"{needed}, because the weights have the stem {stem!r}")


def with_patch_size(weights: Weights, patch_size: tuple[int, ...]) -> Weights:
    """Return weights for patches of another size, on the same number of patches.

    Raises:
        ConfigError: if there are no patches whose kernel could be resampled.
    """
    a = weights.architecture
    if patch_size == a.patch_size:
        return weights
    _refuse_other_stem(weights, f"vit.patch_size: leave it at {a.patch_size[0]}")
    state = dict(weights.state)
    kernel = state["patch_embed.proj.weight"]
    state["patch_embed.proj.weight"] = resample_kernel(kernel, patch_size)
    image_size = tuple(g * p for g, p in zip(a.grid, patch_size, strict=True))
    log.warning("patch_embed: patches of %s made into %s", a.patch_size, patch_size)
    description = replace(a, patch_size=patch_size, image_size=image_size)
    return replace(weights, state=state, architecture=description)


def resample_kernel(
    kernel: Float[Tensor, "d c *p"],
    patch_size: tuple[int, ...],
    rule: Rule = "bicubic-antialias",
) -> Float[Tensor, "d c *q"]:
    """Return the kernel that gives resized patches the tokens the old one gave.

    If R resizes a patch x, then w' = pinv(R^T) w gives <w', R x> = <w, x>, exactly when
    enlarging and as nearly as can be when shrinking (FlexiViT: Beyer et al. 2023,
    arXiv 2212.08013, Sec. 3.4).
    """
    matrices = [
        torch.linalg.pinv(interpolation_matrix(p, q, rule).T)
        for p, q in zip(kernel.shape[2:], patch_size, strict=True)
    ]
    axes_first = kernel.double().movedim((0, 1), (-2, -1))
    resized = along_axes(axes_first, matrices).movedim((-2, -1), (0, 1))
    return resized.to(kernel.dtype).contiguous()


def with_image_size(
    weights: Weights, image_size: tuple[int, ...], rule: Rule | None = None
) -> Weights:
    """Return weights for images of another size: positions go by the source's rule.

    Args:
        weights: of a network for the same number of axes.
        image_size: wanted.
        rule: instead of the source's.

    Raises:
        ConfigError: if the size is no whole number of patches.
    """
    a = weights.architecture
    description = replace(a, image_size=image_size, visible=None)
    if description.grid == a.grid:
        description = replace(description, visible=a.visible)
        return replace(weights, architecture=description)
    log.warning(
        "pos_embed: %s grid resized to %s by %s",
        a.grid,
        description.grid,
        rule or weights.rule,
    )
    state = _on_grid_of(description, weights.state, a, rule or weights.rule)
    return replace(weights, state=state, architecture=description)


def _on_grid_of(
    description: Architecture, state: Mapping[str, Tensor], a: Architecture, rule: Rule
) -> dict[str, Tensor]:
    """Return weights whose positions, if they have any, are those of the new grid."""
    if "pos_embed" not in state:
        return dict(state)
    positions = resize_positions(
        state["pos_embed"],
        a.grid,
        description.grid,
        num_prefix=a.num_prefix_positions,
        rule=rule,
    )
    return {**state, "pos_embed": positions}


def inflated(weights: Weights, depth: int, how: Inflation = "mean") -> Weights:
    """Return weights for volumes from weights for slices.

    ``mean`` gives each plane of a patch the same share of the kernel, so that a volume
    of equal planes gives what the slice gave; ``center`` gives all to the middle plane
    (Carreira and Zisserman 2017, arXiv 1705.07750; Feichtenhofer et al. 2021).

    Args:
        weights: of a network for two axes.
        depth: of the volume; a multiple of the patch's side.
        how: the kernel is spread.

    Raises:
        ConfigError: if there are no patches whose kernel could be spread.
    """
    a = replace(weights.architecture, visible=None)
    _refuse_other_stem(weights, "image_size: needs two sides")
    side = a.patch_size[0]
    state = dict(weights.state)
    kernel = state["patch_embed.proj.weight"][:, :, None]
    planes = torch.zeros(side, dtype=kernel.dtype)
    if how == "mean":
        planes[:] = 1 / side
    else:
        planes[side // 2] = 1
    state["patch_embed.proj.weight"] = kernel * planes[:, None, None]
    description = replace(
        a, image_size=(depth, *a.image_size), patch_size=(side, *a.patch_size)
    )
    state = _on_grid_of(description, state, a, weights.rule)
    log.warning("weights for slices made into weights for volumes by %s", how)
    return replace(weights, state=state, architecture=description)
