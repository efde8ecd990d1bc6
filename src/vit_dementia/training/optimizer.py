"""What learns how fast: frozen parts, decay groups, layer-wise rates and the schedule.

Weight decay is decoupled and multiplied by the learning rate, as in Steiner et al. 2022
(arXiv 2106.10270), and never acts on biases, norms, tokens and positions.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import Any

import torch
from torch import nn

from vit_dementia.config import TrainConfig
from vit_dementia.errors import ConfigError

_BLOCK = re.compile(r"blocks\.(\d+)\.")
_HEAD = re.compile(r"(head|fc_norm|head_dist|pre_logits|attn_pool|slice_attention)\.")
SGD_MOMENTUM = 0.9  # Dosovitskiy et al. 2021, Sec. 4.1


def freeze(model: nn.Module, what: str, *, depth: int) -> int:
    """Stop part of the model from learning; return the number of parameters that learn.

    Args:
        what: ``none``, ``backbone`` (all but the head), or ``N-blocks`` (embedding and
            the first N blocks).

    Raises:
        ConfigError: if the model has fewer blocks.
    """
    blocks = depth if what == "backbone" else 0
    if what.endswith("-blocks"):
        blocks = int(what.removesuffix("-blocks"))
        if blocks > depth:
            raise ConfigError(
                f"train.freeze: found {what}; the model has {depth} blocks"
            )
    for name, parameter in model.named_parameters():
        if what == "backbone":
            parameter.requires_grad_(_HEAD.match(name) is not None)
        elif blocks:
            parameter.requires_grad_(_layer_of(name, depth) > blocks)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def learns_beyond_the_head(model: nn.Module) -> bool:
    """Say whether any parameter that learns comes before the head."""
    return any(
        parameter.requires_grad and not _HEAD.match(name)
        for name, parameter in model.named_parameters()
    )


def _layer_of(name: str, depth: int) -> int:
    """Return 0 for the embedding, 1 for the first block, depth + 1 for the head."""
    if found := _BLOCK.match(name):
        return int(found[1]) + 1
    return depth + 1 if _HEAD.match(name) or name.startswith("norm.") else 0


def make_optimizer(
    model: nn.Module, config: TrainConfig, *, depth: int
) -> torch.optim.Optimizer:
    """Return the optimizer over all parameters that learn.

    Each group carries ``scale``: ``layer_decay`` to the power of the number of layers
    between it and the head (Clark et al. 2020, arXiv 2003.10555, Sec. 3.1).
    """
    members: dict[tuple[float, bool], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = config.layer_decay ** (depth + 1 - _layer_of(name, depth))
            decays = parameter.ndim > 1 and not re.search(
                r"token|pos_embed|latent|\.scale$", name
            )
            members[scale, decays].append(parameter)
    groups: list[dict[str, Any]] = [
        {
            "params": parameters,
            "scale": scale,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (scale, decays), parameters in members.items()
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=SGD_MOMENTUM)
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def learning_rate_at(step: int, num_steps: int, config: TrainConfig) -> float:
    """Return the learning rate of one step: a linear rise, then the schedule.

    >>> config = TrainConfig(learning_rate=1.0, warmup=0.5, schedule="linear")
    >>> [learning_rate_at(step, 4, config) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    num_warm = round(config.warmup * num_steps)
    if step < num_warm:
        return config.learning_rate * (step + 1) / num_warm
    progress = (step - num_warm) / max(1, num_steps - num_warm)
    if config.schedule == "cosine":
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
    if config.schedule == "linear":
        return config.learning_rate * (1 - progress)
    return config.learning_rate


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every group the learning rate times its own scale."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["scale"]
