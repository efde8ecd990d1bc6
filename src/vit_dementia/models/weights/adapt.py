"""Weights for another head, another number of channels, patches or image size.

Each function takes weights and gives weights; nothing is changed silently.

Shapes: d width of a token, c channels before, e channels after, p along each axis of a
patch before, q after.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from vit_dementia.config import Plane
from vit_dementia.errors import ConfigError
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
ACROSS: dict[Plane, int] = {"axial": 0, "coronal": 1, "sagittal": 2}  # axis of a volume


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
    state = dict(weights.state)
    if "pos_embed" in state:
        state["pos_embed"] = resize_positions(
            state["pos_embed"],
            a.grid,
            description.grid,
            num_prefix=a.num_prefix_positions,
            rule=rule or weights.rule,
        )
    return replace(weights, state=state, architecture=description)


def inflated(
    weights: Weights, depth: int, how: Inflation = "mean", plane: Plane = "axial"
) -> Weights:
    """Return weights for volumes from weights for slices.

    ``mean`` gives each plane of a patch the same share of the kernel, so that a volume
    of equal planes gives what the slice gave; ``center`` gives all to the middle plane
    (Carreira and Zisserman 2017, arXiv 1705.07750; Feichtenhofer et al. 2021). Every
    plane of patches gets the positions of the slice.

    Args:
        weights: of a network for two axes.
        depth: of the volume across the slices; a multiple of the patch's side.
        how: the kernel is spread.
        plane: in which the slices were cut; of pictures from elsewhere ``axial``.

    Raises:
        ConfigError: if there are no patches whose kernel could be spread.
    """
    a = replace(weights.architecture, visible=None)
    _refuse_other_stem(weights, "image_size: needs two sides")
    side, across = a.patch_size[0], ACROSS[plane]
    shares = torch.full((side,), 1 / side)
    if how == "center":
        shares = torch.arange(side) == side // 2
    state = dict(weights.state)
    kernel = _across(state["patch_embed.proj.weight"], plane, side, first=2)
    shares = shares.to(kernel).reshape(-1, *(1,) * (2 - across))
    state["patch_embed.proj.weight"] = kernel * shares
    description = replace(
        a,
        image_size=_inserted(a.image_size, across, depth),
        patch_size=_inserted(a.patch_size, across, side),
    )
    if "pos_embed" in state:
        num_prefix = a.num_prefix_positions
        prefix, places = state["pos_embed"].tensor_split([num_prefix], dim=1)
        grid = places.reshape(1, *a.grid, -1)
        stack = _across(grid, plane, description.grid[across], first=1)
        state["pos_embed"] = torch.cat([prefix, stack.flatten(1, 3)], dim=1)
    log.warning("weights for %s slices made into weights for volumes by %s", plane, how)
    return replace(weights, state=state, architecture=description)


def _across(
    slices: Float[Tensor, "*_"], plane: Plane, times: int, *, first: int
) -> Float[Tensor, "*_"]:
    """Repeat what stands for a slice along the axis of a volume that it is cut across.

    The rows of coronal and sagittal slices go from the head down, the planes of a
    volume from the feet up; all other axes go the same way in both.

    Args:
        slices: with rows and columns of slices along two of its axes.
        plane: in which they are cut.
        times: how often.
        first: the axis of the rows.
    """
    upright = slices if plane == "axial" else slices.flip(first)
    axis = first + ACROSS[plane]
    return upright.unsqueeze(axis).repeat_interleave(times, dim=axis)


def _inserted(sides: tuple[int, ...], place: int, side: int) -> tuple[int, ...]:
    """Return the sides with one more.

    >>> _inserted((2, 3), 1, 4)
    (2, 4, 3)
    """
    return (*sides[:place], side, *sides[place:])
