"""What goes on inside a network, by the name of the part that says it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from vit_dementia.errors import ConfigError


def intermediates(
    model: nn.Module, images: Tensor, names: Sequence[str]
) -> dict[str, Tensor]:
    """Return what the named parts give for these images; the network stays as it is.

    >>> import torch
    >>> from vit_dementia.models import create_model
    >>> model = create_model("ViT-Ti/16", num_classes=2, image_size=(32, 32), depth=2)
    >>> found = intermediates(model, torch.zeros(1, 1, 32, 32), ["blocks.0", "norm"])
    >>> {name: tuple(value.shape) for name, value in found.items()}
    {'blocks.0': (1, 5, 192), 'norm': (1, 5, 192)}

    Args:
        model: any network.
        images: its input.
        names: as in ``model.named_modules()``, such as ``blocks.3.attn``.

    Raises:
        ConfigError: if there is no such part; names the nearest.
    """
    parts = dict(model.named_modules())
    for name in names:
        if name not in parts or not name:
            near = difflib.get_close_matches(name, parts, n=1, cutoff=0)[0]
            raise ConfigError(f"names: no part {name!r}; the nearest is {near!r}")
    found: dict[str, Tensor] = {}
    handles = [
        parts[name].register_forward_hook(_keep_in(found, name)) for name in names
    ]
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    return {name: found[name] for name in names}


def _keep_in(found: dict[str, Tensor], name: str) -> Any:
    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        found[name] = output

    return hook
