"""Multi-head self-attention: App. A of Dosovitskiy et al. 2021 (arXiv 2010.11929).

Shapes: b images, n tokens, d width of a token, h heads, c width of a head (d = h c).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from vit_dementia.models.variants import Architecture


class Attention(nn.Module):
    """Multi-head self-attention (MSA): every token gathers from every other one."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        dim = architecture.embed_dim
        self.num_heads = architecture.num_heads
        self.attention_dropout = architecture.attention_dropout
        self.qkv = nn.Linear(dim, 3 * dim, bias=architecture.qkv_bias)  # U_qkv
        self.proj = nn.Linear(dim, dim)  # U_msa
        self.proj_drop = nn.Dropout(architecture.dropout)

    def forward(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Return for each token what the heads gathered for it, projected."""
        q, k, v = self.split_heads(self.qkv(z))  # Eq. 5
        heads = scaled_dot_product_attention(  # Eqs. 6 and 7, fused
            q, k, v, dropout_p=self.attention_dropout if self.training else 0.0
        )
        return self.proj_drop(self.proj(heads.transpose(1, 2).flatten(2)))  # Eq. 8

    def split_heads(
        self, qkv: Float[Tensor, "b n qkv"]
    ) -> tuple[Float[Tensor, "b h n c"], ...]:
        """Cut the projection into q, k and v, and each of them into heads."""
        parts = qkv.unflatten(-1, (3, self.num_heads, -1))  # b n 3 h c
        return parts.permute(2, 0, 3, 1, 4).unbind(0)

    def weights(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b h n n"]:
        """Return A of Eq. 6: row i says where token i looks. For explanations."""
        q, k, _ = self.split_heads(self.qkv(z))
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        return scores.softmax(dim=-1)
