"""How weights begin, by the name of where the scheme comes from.

``google`` is that of the paper's own code (vit_jax): Xavier-uniform matrices with
query, key and value apart, small random MLP biases, zero class token, zero head.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import nn

TRUNCATED_STD = 0.87962566103423978  # of N(0, 1) cut at ±2 (jax.nn.initializers)


@torch.no_grad()
def initialize(model: nn.Module, generator: torch.Generator | None = None) -> None:
    """Set every parameter anew; the same generator state gives the same weights."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            _initialize_linear(name, module, generator)
        elif isinstance(module, nn.Conv2d | nn.Conv3d):
            _lecun_normal(module.weight, generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    for name, parameter in model.named_parameters(recurse=False):
        if name == "pos_embed":
            nn.init.normal_(parameter, std=0.02, generator=generator)
        else:  # class token
            nn.init.zeros_(parameter)


def _initialize_linear(
    name: str, module: nn.Linear, generator: torch.Generator | None
) -> None:
    kind = name.rpartition(".")[2]
    if kind == "head":
        nn.init.zeros_(module.weight)
    elif kind == "qkv":  # three matrices that happen to be stored as one
        for part in module.weight.chunk(3):
            nn.init.xavier_uniform_(part, generator=generator)
    else:
        nn.init.xavier_uniform_(module.weight, generator=generator)
    if kind in ("fc1", "fc2"):
        nn.init.normal_(module.bias, std=1e-6, generator=generator)
    elif module.bias is not None:
        nn.init.zeros_(module.bias)


def _lecun_normal(kernel: torch.Tensor, generator: torch.Generator | None) -> None:
    """Draw from a normal cut at two deviations, of variance 1 / (inputs of a unit)."""
    std = 1 / sqrt(kernel[0].numel()) / TRUNCATED_STD
    nn.init.trunc_normal_(kernel, std=std, a=-2 * std, b=2 * std, generator=generator)
