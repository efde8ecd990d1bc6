"""What may stand between the tokens and the head, or beside it.

Shapes: b images, n tokens, d width of a token, r width of the representation, h heads,
c width of a head.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from vit_dementia.models.description import Architecture

Heads = Float[Tensor, "b h n c"]


class AttentionPool(nn.Module):
    """A learned query that gathers from all tokens (MAP: Zhai et al. 2022, 2106.04560).

    Parameters are named as in timm; ``latent`` is big_vision's probe.
    """

    def __init__(self, architecture: Architecture, mlp: nn.Module) -> None:
        super().__init__()
        a = architecture
        self.num_heads = a.num_heads
        self.latent = nn.Parameter(torch.empty(1, 1, a.embed_dim))
        self.q = nn.Linear(a.embed_dim, a.embed_dim)
        self.kv = nn.Linear(a.embed_dim, 2 * a.embed_dim)
        self.proj = nn.Linear(a.embed_dim, a.embed_dim)
        self.norm = nn.LayerNorm(a.embed_dim, eps=a.layer_norm_eps)
        self.mlp = mlp

    def forward(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b d"]:
        """Return one vector an image."""
        heads = scaled_dot_product_attention(*self._query_keys_values(z))
        y = self.proj(heads.transpose(1, 2).flatten(2))
        y = y + self.mlp(self.norm(y))
        return y[:, 0]

    def weights(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b h n"]:
        """Return how much the query takes of each token; each row sums to 1."""
        q, k, _ = self._query_keys_values(z)
        return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=-1)[:, :, 0]

    def _query_keys_values(
        self, z: Float[Tensor, "b n d"]
    ) -> tuple[Float[Tensor, "b h 1 c"], Heads, Heads]:
        q = self.q(self.latent.expand(z.shape[0], -1, -1))
        k, v = self.kv(z).unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return q.unflatten(-1, (self.num_heads, -1)).transpose(1, 2), k, v


class PreLogits(nn.Module):
    """The dense layer and tanh of the head while pre-training (paper, Sec. 3.1)."""

    def __init__(self, dim: int, representation_dim: int) -> None:
        super().__init__()
        self.fc = nn.Linear(dim, representation_dim)

    def forward(self, y: Float[Tensor, "b d"]) -> Float[Tensor, "b r"]:
        """Return the representation."""
        return self.fc(y).tanh()


class SliceAttention(nn.Module):
    """How much a slice asks to count among those of its visit.

    The part of Ilse, Tomczak & Welling 2018 (arXiv 1802.04712), Eq. 8, that knows one
    slice: a = w^T tanh(V y). The weights of a visit's slices are the softmax of their
    scores. With w = 0, where it begins, all slices weigh the same.
    """

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, hidden_dim)  # V; a bias, as in the authors' code
        self.score = nn.Linear(
            hidden_dim, 1, bias=False
        )  # w; the same for all: no bias
        nn.init.zeros_(self.score.weight)

    @classmethod
    def of(cls, a: Architecture) -> SliceAttention | None:
        """Return what an architecture asks for; None: its slices are not weighed."""
        return cls(a.embed_dim, a.slice_attention) if a.slice_attention else None

    def forward(self, y: Float[Tensor, "b d"]) -> Float[Tensor, "b 1"]:
        """Return the score of each slice, from what the head reads of it."""
        return self.score(self.hidden(y).tanh())
