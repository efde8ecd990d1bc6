"""Every method by its name: a network and prepared images in, a map a patch out.

All compute in float32, also inside ``torch.autocast`` and of weights that are kept in
another type; what the network's fused attention is for others stays as it is. Patches
that the network does not read get zero.

Shapes: b images, c channels, n tokens, v patches that are read, g patches of the grid.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vit_dementia.errors import ConfigError
from vit_dementia.explanation import attention, gradients
from vit_dementia.explanation.recording import record
from vit_dementia.models.vit import VisionTransformer

Method = Literal[
    "relevance",
    "rollout",
    "attention",
    "grad-cam",
    "integrated-gradients",
    "occlusion",
]
Images = Float[Tensor, "b c *space"]
Labels = Int[Tensor, " b"]
Patches = Float[Tensor, "b v"]


def explain(
    network: VisionTransformer,
    images: Images,
    labels: Labels,
    *,
    method: Method,
    black: float,
    layer: int = -1,
    head: int | None = None,
) -> Float[Tensor, "b g"]:
    """Return how much each patch speaks for a class, row by row of the grid.

    Rollout and attention say where the network looked, whatever it answered; the others
    depend on the class. Higher is more; only differences within one map have a meaning.

    Args:
        network: in evaluation mode; if not in float32, a copy of it is explained.
        images: as the network reads them.
        labels: the class of each image that is asked about.
        black: the value of a background pixel, as the network reads it.
        layer: of ``attention``: block number from 0, negative ones from the end.
        head: of ``attention``: head number from 0; None: the mean of all.

    Raises:
        ConfigError: if the method needs what is not installed, or block or head is not
            there.
    """
    work: dict[Method, Callable[[VisionTransformer, Images, Labels], Patches]] = {
        "relevance": _relevance,
        "rollout": _rollout,
        "attention": partial(_attention, layer=layer, head=head),
        "grad-cam": _grad_cam,
        "integrated-gradients": partial(_integrated, black=black),
        "occlusion": partial(_occlusion, black=black),
    }
    exact = _in_float32(network)
    with torch.autocast(images.device.type, enabled=False):
        found = work[method](exact, images.float(), labels).detach()
    return on_grid(found, network)


def on_grid(values: Patches, network: VisionTransformer) -> Float[Tensor, "b g"]:
    """Return values of patches that are read at their places, zero elsewhere."""
    if network.visible is None:
        return values
    grid = values.new_zeros(len(values), network.architecture.num_patches)
    grid[:, network.visible] = values
    return grid


def without_pedestal(
    values: Float[Tensor, "b g"], network: VisionTransformer
) -> Float[Tensor, "b g"]:
    """Return a map from which is taken what all patches that are read have alike.

    Attention gives something to every patch; only what is above it shows a place. All
    slices of a scan share one pedestal.
    """
    places = slice(None) if network.visible is None else network.visible.cpu()
    lowest = values[:, places].min().clamp(min=0)
    lowered = values.clone()
    lowered[:, places] -= lowest
    return lowered


def by_patch(
    pixels: Float[Tensor, "b c *space"], patch_size: tuple[int, ...]
) -> Float[Tensor, "b g"]:
    """Return the sum over each patch, row by row.

    >>> by_patch(torch.ones(1, 1, 2, 4), (2, 2)).tolist()
    [[4.0, 4.0]]
    """
    for axis, side in enumerate(patch_size):
        pixels = pixels.unflatten(2 + 2 * axis, (-1, side))
    inside = tuple(range(3, 3 + 2 * len(patch_size), 2))
    return pixels.sum(dim=(1, *inside)).flatten(1)


def _rollout(network: VisionTransformer, images: Images, _labels: Labels) -> Patches:
    with torch.no_grad():
        seen = record(network, images)
    reached = attention.rollout(seen.attention)
    return attention.of_patches(reached, seen.reading, _prefix(network))


def _attention(
    network: VisionTransformer,
    images: Images,
    _labels: Labels,
    *,
    layer: int,
    head: int | None,
) -> Patches:
    a = network.architecture
    if not -a.depth <= layer < a.depth or not (head is None or 0 <= head < a.num_heads):
        raise ConfigError(
            f"attention: found block {layer}, head {head}; this network has blocks 0 to"
            f" {a.depth - 1} and heads 0 to {a.num_heads - 1}"
        )
    with torch.no_grad():
        seen = record(network, images)
    weights = seen.attention[layer]
    chosen = weights.mean(dim=1) if head is None else weights[:, head]
    return attention.of_patches(chosen, seen.reading, _prefix(network))


def _relevance(network: VisionTransformer, images: Images, labels: Labels) -> Patches:
    with torch.enable_grad():
        seen = record(network, images)
        asked = seen.logits.gather(1, labels[:, None]).sum()
        # The last block's weights may not matter (a class token reads nothing of the
        # patches' own rows), but they are always in the graph.
        slopes = torch.autograd.grad(asked, seen.attention)
    found = attention.relevance(seen.attention, slopes)
    return attention.of_patches(found, seen.reading, _prefix(network))


def _grad_cam(network: VisionTransformer, images: Images, labels: Labels) -> Patches:
    with torch.enable_grad():
        seen = record(network, images)
        asked = seen.logits.gather(1, labels[:, None]).sum()
        (slopes,) = torch.autograd.grad(asked, [seen.tokens[-1]])
    return gradients.grad_cam(seen.tokens[-1], slopes, _prefix(network))


def _integrated(
    network: VisionTransformer, images: Images, labels: Labels, *, black: float
) -> Patches:
    baseline = torch.full_like(images, black)
    found = gradients.integrated_gradients(network, images, labels, baseline)
    return _visible(by_patch(found, network.architecture.token_size), network)


def _occlusion(
    network: VisionTransformer, images: Images, labels: Labels, *, black: float
) -> Patches:
    window = network.architecture.token_size
    baseline = torch.full_like(images, black)
    found = gradients.occlusion(network, images, labels, baseline, window)
    # Every value of a window holds the window's answer.
    count = found[0].numel() // network.architecture.num_patches
    return _visible(by_patch(found, window) / count, network)


def _in_float32(network: VisionTransformer) -> VisionTransformer:
    if all(weights.dtype == torch.float32 for weights in network.parameters()):
        return network
    return copy.deepcopy(network).float()


def _visible(values: Float[Tensor, "b g"], network: VisionTransformer) -> Patches:
    return values if network.visible is None else values[:, network.visible]


def _prefix(network: VisionTransformer) -> int:
    return network.architecture.num_prefix_tokens
