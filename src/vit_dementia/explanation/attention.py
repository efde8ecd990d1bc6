"""Maps made of attention weights alone, or weighed by their gradients.

- Rollout: Abnar & Zuidema 2020 (arXiv 2005.00928), Sec. 3.
- Relevance: Chefer et al. 2021 (arXiv 2103.15679), Eqs. 5 and 6, for self-attention.
- The attention of one block and head, as it is.

Each says how much of every token reaches what the head reads. Tokens that are no patch
are left out of the answer.

Shapes: b images, h heads, n tokens, v patches that are read.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Layers = Sequence[Float[Tensor, "b h n n"]]


def rollout(layers: Layers) -> Float[Tensor, "b n n"]:
    """Return how much of each token (column) has reached each other one (row).

    Rows sum to 1: half of a token comes by attention, half by the residual path.

    >>> rollout([torch.full((1, 2, 3, 3), 1 / 3)]).sum(dim=-1).tolist()
    [[1.0, 1.0, 1.0]]
    """
    reached = _identity(layers)
    for weights in layers:
        mixed = 0.5 * weights.mean(dim=1) + 0.5 * _identity(layers)
        reached = mixed @ reached
    return reached


def relevance(layers: Layers, gradients: Layers) -> Float[Tensor, "b n n"]:
    """Return how relevant each token (column) became to each other one (row).

    Nothing is conserved, and Chefer et al. claim no conservation for these equations
    (it belongs to the relevance propagation of their earlier arXiv 2012.09838): Eq. 5
    drops what is negative and Eq. 6 only adds. So no entry is below zero, each token is
    relevant to itself by 1 or more, and the sums of rows are no logit.

    Args:
        layers: attention weights, first block first.
        gradients: of the logit that is explained, with respect to them.
    """
    relevant = _identity(layers)
    for weights, gradient in zip(layers, gradients, strict=True):
        counted = (weights * gradient).clamp(min=0).mean(dim=1)  # Eq. 5
        relevant = relevant + counted @ relevant  # Eq. 6
    return relevant


def of_patches(
    reached: Float[Tensor, "b n n"], reading: Float[Tensor, "b n"], num_prefix: int
) -> Float[Tensor, "b v"]:
    """Return what reached the head, of the patches only.

    Args:
        reading: what share of each token the head reads.
        num_prefix: tokens in front that are no patch.
    """
    return (reading[:, None] @ reached)[:, 0, num_prefix:]


def _identity(layers: Layers) -> Float[Tensor, "n n"]:
    last = layers[-1]
    return torch.eye(last.shape[-1], dtype=last.dtype, device=last.device)
