"""How weights begin, by the name of where the scheme comes from.

``google``
    of the paper's own code (vit_jax): Xavier-uniform matrices with query, key and value
    apart, small random MLP biases, zero class token and zero head.
``timm``
    of timm and DeiT: matrices and positions from a normal of 0.02.
``mae``
    of He et al. 2022 (arXiv 2111.06377): Xavier-uniform with query, key and value as
    one matrix, patches too; a nearly zero head.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import sqrt
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.init import (
    normal_,
    trunc_normal_,
    uniform_,
    xavier_uniform_,
    zeros_,
)

Scheme = Literal["google", "timm", "mae"]
TRUNCATED_STD = 0.87962566103423978  # of N(0, 1) cut at ±2 (jax.nn.initializers)
_CONSTANT = re.compile(
    r"(^|[._])norm\d?\.(weight|bias)$|\.gamma$|\.scale$|(^|\.)score\.weight$"
)


@torch.no_grad()
def initialize(
    model: nn.Module,
    scheme: Scheme = "google",
    generator: torch.Generator | None = None,
) -> None:
    """Set every parameter anew; the same generator state gives the same weights.

    Norms, layer scales, temperatures and the scores of slices begin where their classes
    put them.
    """
    fill = SCHEMES[scheme]
    for name, parameter in model.named_parameters():
        if not parameter.is_meta and not _CONSTANT.search(name):
            fill(name, parameter, generator)


def _google(name: str, value: Tensor, generator: torch.Generator | None) -> None:
    if re.match(r"head|cls_token|dist_token", name):
        zeros_(value)
    elif re.search(r"fc[12]\.bias$", name) and not name.startswith("pre_logits"):
        normal_(value, std=1e-6, generator=generator)
    elif name.endswith("bias"):
        zeros_(value)
    elif re.match(r"pos_embed|reg_token", name):  # equal registers would stay equal
        normal_(value, std=0.02, generator=generator)
    elif value.ndim > 3 or name.startswith("pre_logits"):
        _lecun_normal(value, generator)
    else:  # query, key and value are three matrices that are stored as one
        parts = 3 if "qkv." in name else 2 if "kv." in name else 1
        for part in value.flatten(1).chunk(parts):
            xavier_uniform_(part, generator=generator)


def _timm(name: str, value: Tensor, generator: torch.Generator | None) -> None:
    if re.match(r"cls_token|reg_token|dist_token", name):
        normal_(value, std=1e-6, generator=generator)
    elif name.endswith("bias"):
        zeros_(value)
    elif value.ndim > 3:
        bound = 1 / sqrt(value[0].numel())  # torch's own for convolutions
        uniform_(value, -bound, bound, generator=generator)
    else:
        trunc_normal_(value, std=0.02, generator=generator)


def _mae(name: str, value: Tensor, generator: torch.Generator | None) -> None:
    if re.match(r"\w+_token|pos_embed", name):
        normal_(value, std=0.02, generator=generator)
    elif name.endswith("bias"):
        zeros_(value)
    elif name.startswith("head"):
        trunc_normal_(value, std=2e-5, generator=generator)
    else:
        xavier_uniform_(value.flatten(1), generator=generator)


def _lecun_normal(kernel: Tensor, generator: torch.Generator | None) -> None:
    """Draw from a normal cut at two deviations, of variance 1 / (inputs of a unit)."""
    std = 1 / sqrt(kernel[0].numel()) / TRUNCATED_STD
    trunc_normal_(kernel, std=std, a=-2 * std, b=2 * std, generator=generator)


SCHEMES: dict[Scheme, Callable[[str, Tensor, torch.Generator | None], None]] = {
    "google": _google,
    "timm": _timm,
    "mae": _mae,
}
