"""Multi-head self-attention: App. A of Dosovitskiy et al. 2021 (arXiv 2010.11929).

Shapes: b images, n tokens, d width of a token, h heads, c width of a head (d = h c).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from vit_dementia.models.description import Architecture

Heads = Float[Tensor, "b h n c"]


class Attention(nn.Module):
    """Multi-head self-attention (MSA): every token gathers from every other one."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        head_dim = a.embed_dim // a.num_heads
        self.num_heads = a.num_heads
        self.attention_dropout = a.attention_dropout
        self.qkv = nn.Linear(a.embed_dim, 3 * a.embed_dim, bias=a.qkv_bias)  # U_qkv
        # Not in the paper; steadies large models (Dehghani et al. 2023, 2302.05442).
        self.q_norm, self.k_norm = (
            nn.LayerNorm(head_dim, eps=a.layer_norm_eps) if a.qk_norm else nn.Identity()
            for _ in range(2)
        )
        self.proj = nn.Linear(a.embed_dim, a.embed_dim)  # U_msa
        self.proj_drop = nn.Dropout(a.dropout)

    def forward(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Return for each token what the heads gathered for it, projected."""
        q, k, v = self.queries_keys_values(z)  # Eq. 5
        heads = scaled_dot_product_attention(  # Eqs. 6 and 7, fused
            q, k, v, dropout_p=self.attention_dropout if self.training else 0.0
        )
        return self.proj_drop(self.proj(heads.transpose(1, 2).flatten(2)))  # Eq. 8

    def weights(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b h n n"]:
        """Return A of Eq. 6: row i says where token i looks. For explanations."""
        q, k, _ = self.queries_keys_values(z)
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        return scores.softmax(dim=-1)

    def queries_keys_values(
        self, z: Float[Tensor, "b n d"]
    ) -> tuple[Heads, Heads, Heads]:
        """Eq. 5: [q, k, v] = z U_qkv, each cut into heads."""
        parts = self.qkv(z).unflatten(-1, (3, self.num_heads, -1))  # b n 3 h c
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        return self.q_norm(q), self.k_norm(k), v


class LocalityAttention(Attention):
    """Attention for small data (Lee et al. 2021, arXiv 2112.13492, Sec. 3.3).

    A token never looks at itself, and each head learns how sharply it looks.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        head_dim = architecture.embed_dim // architecture.num_heads
        self.scale = nn.Parameter(
            torch.full((architecture.num_heads, 1, 1), head_dim**-0.5)
        )

    def forward(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Return for each token what the heads gathered for it elsewhere, projected."""
        q, k, v = self.queries_keys_values(z)
        heads = scaled_dot_product_attention(
            q * self.scale,
            k,
            v,
            attn_mask=self.elsewhere(z),
            dropout_p=self.attention_dropout if self.training else 0.0,
            scale=1.0,
        )
        return self.proj_drop(self.proj(heads.transpose(1, 2).flatten(2)))

    def weights(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b h n n"]:
        """Return where each token looks; the diagonal is zero."""
        q, k, _ = self.queries_keys_values(z)
        scores = (q * self.scale) @ k.transpose(-2, -1)
        return scores.masked_fill(~self.elsewhere(z), float("-inf")).softmax(dim=-1)

    @staticmethod
    def elsewhere(z: Float[Tensor, "b n d"]) -> Tensor:
        """Return the mask that lets a token look at every other one."""
        return ~torch.eye(z.shape[1], dtype=torch.bool, device=z.device)
