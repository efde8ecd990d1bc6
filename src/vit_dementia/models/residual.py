"""What may stand on a residual branch besides the layer itself; nothing, in the paper.

Shapes: b images, n tokens, d width of a token.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class DropPath(nn.Module):
    """Drop a branch for some images while training (Huang et al. 2016, 1603.09382).

    What remains is scaled up, so that the mean stays what it is in evaluation.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """Return the branch, as zeros for about ``rate`` of the images."""
        if self.rate == 0.0 or not self.training:
            return branch
        shape = (branch.shape[0],) + (1,) * (branch.ndim - 1)
        keep = torch.empty(shape, dtype=branch.dtype, device=branch.device)
        return branch * keep.bernoulli_(1 - self.rate).div_(1 - self.rate)


class LayerScale(nn.Module):
    """Scale each channel of a branch by a learned factor (Touvron et al. 2021b)."""

    def __init__(self, dim: int, start: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), start))

    def forward(self, branch: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Return the scaled branch."""
        return branch * self.gamma
