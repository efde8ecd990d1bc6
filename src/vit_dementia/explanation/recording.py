"""One forward pass whose attention weights can be looked at and differentiated.

The network itself keeps its fused attention, which holds no weights; here the same
equations are computed beside it, block by block, and nothing of the network is changed.
A test holds both answers equal.

Shapes: b images, h heads, n tokens (those that are no patch first), v patches that are
read, d width of a token, c width of a head, k classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from vit_dementia.models.vit import Block, VisionTransformer


@dataclass(frozen=True)
class Recording:
    """What went through a network on its way from images to logits.

    Attributes:
        logits: as ``forward`` gives them.
        attention: A of Eq. 6, first block first; each row sums to 1.
        tokens: what came into each block, first block first.
        reading: what share of each token the head reads; sums to 1.
    """

    logits: Float[Tensor, "b k"]
    attention: list[Float[Tensor, "b h n n"]]
    tokens: list[Float[Tensor, "b n d"]]
    reading: Float[Tensor, "b n"]


def record(
    network: VisionTransformer, images: Float[Tensor, "b c *space"]
) -> Recording:
    """Return what went through a network in evaluation mode, gradients kept.

    Raises:
        ValueError: if the network is training: dropout would be explained too.
    """
    if network.training:
        raise ValueError("network: found in training mode; call eval() first")
    z = network.embed(images)  # Eq. 1
    attention, tokens = [], []
    for block in cast(list[Block], network.blocks):
        if not z.requires_grad:  # all weights are frozen
            z = z.detach().requires_grad_()
        tokens.append(z)
        weights = block.attention_weights(z)
        attention.append(weights)
        z = _after(block, z, weights)
    z = network.norm(z)
    return Recording(network.forward_head(z), attention, tokens, _reading(network, z))


def _after(
    block: Block, z: Float[Tensor, "b n d"], weights: Float[Tensor, "b h n n"]
) -> Float[Tensor, "b n d"]:
    """Return what a block makes of its tokens: Eqs. 2 and 3, with A of Eq. 6 given."""
    attn = block.attn
    _, _, v = attn.queries_keys_values(block.norm1(z))
    heads = weights @ v  # Eq. 7
    gathered = attn.proj(heads.transpose(1, 2).flatten(2))  # Eq. 8
    z = z + block.ls1(gathered)
    return z + block.ls2(block.mlp(block.norm2(z)))


def _reading(
    network: VisionTransformer, z: Float[Tensor, "b n d"]
) -> Float[Tensor, "b n"]:
    """Return the share that the head reads of each token it is given."""
    a = network.architecture
    reading = torch.zeros(z.shape[:2], dtype=z.dtype, device=z.device)
    if a.pooling == "map":
        assert network.attn_pool is not None
        reading[:, a.num_prefix_tokens :] = network.attn_pool.weights(
            z[:, a.num_prefix_tokens :]
        ).mean(dim=1)
    elif a.pooling == "mean":
        reading[:, a.num_prefix_tokens :] = 1 / (z.shape[1] - a.num_prefix_tokens)
    else:
        reading[:, 0] = 1.0
    if a.distilled:  # its own head reads the second token, and both heads count alike
        reading = reading / 2
        reading[:, 1] += 0.5
    return reading.detach()
