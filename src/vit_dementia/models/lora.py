"""Low-rank fine-tuning (LoRA: Hu et al. 2021, arXiv 2106.09685).

A frozen matrix W gets a product of two thin ones beside it, W + (alpha / r) B A, and
only those learn. Merged back, the network is an ordinary one again.

Shapes: i inputs, o outputs, r rank.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

QV = r"blocks\.\d+\.attn\.qkv"  # the matrices of the paper, as one with k in between


class LoraLinear(nn.Module):
    """A frozen dense layer with a low-rank change beside it, which starts at zero.

    Args:
        base: the layer.
        rank: of the change; r.
        alpha: the change is scaled by alpha / r.
        rows: outputs that may change; all if left out.
        generator: source of the first weights.
    """

    def __init__(
        self,
        base: nn.Linear,
        rank: int,
        alpha: float,
        rows: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.base = base.requires_grad_(requires_grad=False)
        self.factor = alpha / rank
        weight = base.weight
        num_rows = base.out_features if rows is None else len(rows)
        self.rows: Tensor | None
        self.register_buffer("rows", rows, persistent=False)
        self.lora_a = nn.Parameter(weight.new_empty(rank, base.in_features))
        self.lora_b = nn.Parameter(weight.new_zeros(num_rows, rank))
        nn.init.kaiming_uniform_(self.lora_a, a=sqrt(5), generator=generator)

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        """Return the layer's output with the change added."""
        return linear(x, self.base.weight + self.change(), self.base.bias)

    def change(self) -> Float[Tensor, "o i"]:
        """Return (alpha / r) B A, zero in the rows that may not change."""
        product = self.factor * self.lora_b @ self.lora_a
        if self.rows is None:
            return product
        return torch.zeros_like(self.base.weight).index_copy(0, self.rows, product)


def add_lora(
    model: nn.Module,
    *,
    rank: int = 8,
    alpha: float = 16.0,
    where: str = QV,
    learn: Iterable[str] = ("head", "head_dist", "slice_attention"),
    generator: torch.Generator | None = None,
) -> int:
    """Freeze a network and let a low-rank change learn; return how many numbers learn.

    Args:
        model: changed in place.
        rank: of each change.
        alpha: its scale.
        where: pattern of the dense layers; of ``qkv`` only q and v change.
        learn: parts that learn as a whole, such as a new head; where there are none of
            that name, nothing more learns.
        generator: source of the first weights.
    """
    model.requires_grad_(requires_grad=False)
    whole = set(learn)
    for name, module in list(model.named_modules()):
        if name in whole:
            module.requires_grad_(requires_grad=True)
        if isinstance(module, nn.Linear) and re.fullmatch(where, name):
            rows = None
            if name.endswith(".qkv"):
                third = module.out_features // 3
                index = torch.arange(module.out_features, device=module.weight.device)
                rows = torch.cat([index[:third], index[2 * third :]])
            changed = LoraLinear(module, rank, alpha, rows, generator)
            _replace(model, name, changed)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@torch.no_grad()
def merge_lora(model: nn.Module) -> None:
    """Add every change to its matrix: an ordinary network with the same outputs."""
    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLinear):
            merged = module.base.weight + module.change()
            module.base.weight.copy_(merged)
            _replace(model, name, module.base)
    model.requires_grad_(requires_grad=True)


@torch.no_grad()
def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights that ``merge_lora`` would leave; the network stays as it is.

    >>> model = nn.Sequential(nn.Linear(2, 2))
    >>> add_lora(model, rank=1, where="0")
    4
    >>> list(merged_state(model))
    ['0.weight', '0.bias']
    """
    state = dict(model.state_dict())
    changed = {n: m for n, m in model.named_modules() if isinstance(m, LoraLinear)}
    for name, module in changed.items():
        state[f"{name}.base.weight"] = module.base.weight + module.change()
        del state[f"{name}.lora_a"], state[f"{name}.lora_b"]
    return {
        re.sub(r"\.base\.(weight|bias)$", r".\1", name)
        if name.rpartition(".base.")[0] in changed
        else name: value
        for name, value in state.items()
    }


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
