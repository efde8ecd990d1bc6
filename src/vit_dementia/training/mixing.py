"""Slices mixed with one another, and their labels with them, to learn more from few.

Mixup adds up two slices (Zhang et al. 2018, arXiv 1710.09412); CutMix pastes a
rectangle of one into the other (Yun et al. 2019, arXiv 1905.04899). As in torchvision,
one share is drawn for a batch and each slice is mixed with the one before it: batches
are shuffled already.

Shapes: ``b`` slices, ``c`` channels, ``h w`` pixels, ``k`` classes; ``...`` what is
left of a slice: pixels, or tokens of a frozen backbone.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from jaxtyping import Float
from torch import Tensor

_CUTMIX_SHARE = 0.5  # of the batches, where both are asked for: timm's switch


def mix(
    inputs: Float[Tensor, "b ..."],
    targets: Float[Tensor, "b k"],
    rng: np.random.Generator,
    *,
    mixup: float = 0.0,
    cutmix: float = 0.0,
) -> tuple[Float[Tensor, "b ..."], Float[Tensor, "b k"]]:
    """Return the batch mixed in one of the two ways, as its strengths say.

    Args:
        inputs: what the network reads.
        targets: how much each slice belongs to each class.
        rng: decides which way, the share and the rectangle.
        mixup: a of the Beta(a, a) from which the share of Mixup is drawn; 0: never.
        cutmix: the same for CutMix.
    """
    if cutmix and (not mixup or rng.random() < _CUTMIX_SHARE):
        return cut_and_mixed(inputs, targets, float(rng.beta(cutmix, cutmix)), rng)
    if mixup:
        return mixed_up(inputs, targets, float(rng.beta(mixup, mixup)))
    return inputs, targets


def mixed_up(
    inputs: Float[Tensor, "b ..."], targets: Float[Tensor, "b k"], share: float
) -> tuple[Float[Tensor, "b ..."], Float[Tensor, "b k"]]:
    """Return ``share`` of each slice and the rest of the one before it.

    >>> import torch
    >>> both = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> mixed_up(both, both, 0.75)[1].tolist()
    [[0.75, 0.25], [0.25, 0.75]]
    """
    return _blend(inputs, share), _blend(targets, share)


def cut_and_mixed(
    images: Float[Tensor, "b c h w"],
    targets: Float[Tensor, "b k"],
    share: float,
    rng: np.random.Generator,
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b k"]]:
    """Return each slice with a rectangle of the one before it.

    The rectangle covers ``1 - share`` of the slice, less what of it lies outside; the
    labels are mixed by what it covers.
    """
    rows = _span(images.shape[-2], share, rng)
    columns = _span(images.shape[-1], share, rng)
    pasted = images.clone()
    pasted[..., rows, columns] = images.roll(1, dims=0)[..., rows, columns]
    height, width = rows.stop - rows.start, columns.stop - columns.start
    covered = height * width / (images.shape[-2] * images.shape[-1])
    return pasted, _blend(targets, 1 - covered)


def _span(side: int, share: float, rng: np.random.Generator) -> slice:
    """Return what the rectangle covers of one side, its middle anywhere on it."""
    middle = int(rng.integers(side))
    half = int(0.5 * sqrt(1 - share) * side)
    return slice(max(0, middle - half), min(side, middle + half))


def _blend(values: Tensor, share: float) -> Tensor:
    return values * share + values.roll(1, dims=0) * (1 - share)
