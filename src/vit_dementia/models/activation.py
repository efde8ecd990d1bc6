"""What stands between the two dense layers of the MLP: a GELU, in the paper.

Shapes: h hidden width of the MLP.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from vit_dementia.models.description import Activation


class SwiGlu(nn.Module):
    """One half of the hidden numbers lets the other through (Shazeer 2020, 2002.05202).

    DINOv2's g/14 has it (Oquab et al. 2023, arXiv 2304.07193).
    """

    def forward(self, x: Float[Tensor, "*b two_h"]) -> Float[Tensor, "*b h"]:
        """Return the second half times the SiLU of the first."""
        gate, value = x.chunk(2, dim=-1)
        return silu(gate) * value


ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU("tanh"),
    "swiglu": SwiGlu,
}
