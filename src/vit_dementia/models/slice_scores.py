"""What a network says of a slice: its logits and, if it weighs slices, a score.

The score stands behind the logits, so that loops, engines and caches that carry rows of
numbers carry it too. What becomes of it is said in ``evaluation.slice_weights``.

Shapes: b images, c channels, n tokens, d width of a token, k classes, q of them and,
where slices are weighed, one more.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vit_dementia.models.initialization import initialize
from vit_dementia.models.pooling import SliceAttention
from vit_dementia.models.vit import VisionTransformer

HIDDEN_DIM = 128  # Ilse et al. 2018, Table 5 and after: L = 128


class Telling(nn.Module):
    """A network that weighs slices, asked for all that it says of them."""

    def __init__(self, network: VisionTransformer) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Float[Tensor, "b c *space"]) -> Float[Tensor, "b q"]:
        """Return the logits and the score of each slice."""
        return told(self.network, self.network.forward_features(images))


def telling(network: VisionTransformer) -> nn.Module:
    """Return what tells the rows that ``told`` describes: the network or one around."""
    return network if network.slice_attention is None else Telling(network)


class Apart(nn.Module):
    """The same as two outputs, for files that name each."""

    def __init__(self, network: VisionTransformer) -> None:
        super().__init__()
        self.telling = Telling(network)

    def forward(
        self, images: Float[Tensor, "b c *space"]
    ) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b 1"]]:
        """Return the logits, and the score of each slice."""
        rows = self.telling(images)
        return rows[:, :-1], rows[:, -1:]


def told(network: VisionTransformer, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b q"]:
    """Return what a network says for tokens that ``forward_features`` gave."""
    logits = network.forward_head(z)
    if network.slice_attention is None:
        return logits
    scores = network.slice_attention(network.fc_norm(network.pool(z)))
    return torch.cat([logits, scores], dim=1)


def weigh_slices(
    network: VisionTransformer,
    hidden_dim: int,
    generator: torch.Generator | None = None,
) -> None:
    """Let a network score slices, at first all alike; with 0 it scores none."""
    architecture = replace(network.architecture, slice_attention=hidden_dim)
    network.architecture = architecture
    network.slice_attention = SliceAttention.of(architecture)
    if network.slice_attention is not None:
        initialize(network.slice_attention, "google", generator)
