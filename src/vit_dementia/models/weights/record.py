"""Weights under timm's names with everything needed to use them rightly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vit_dementia.errors import CheckpointError
from vit_dementia.models.description import Architecture
from vit_dementia.models.positions import Rule
from vit_dementia.models.vit import VisionTransformer


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The content of a weight file, whoever wrote it."""

    state: dict[str, Tensor]  # under timm's names
    architecture: Architecture
    classes: tuple[str, ...] | None  # in the order of the logits; None: file is silent
    mean: tuple[float, ...] | None  # of each input channel, on the scale [0, 1]
    std: tuple[float, ...] | None
    layout: str  # who wrote the file: native, timm, torchvision, ...
    rule: Rule  # how these positions go to another grid

    def build(self) -> VisionTransformer:
        """Return the network with these weights; half precision becomes float32.

        Raises:
            CheckpointError: if a weight is missing, unexpected or of another shape.
        """
        refuse_unfit(self.state, self.architecture, self.layout)
        with torch.device("meta"):
            model = VisionTransformer(self.architecture)
        is_double = any(v.dtype == torch.float64 for v in self.state.values())
        model = model.to(torch.float64 if is_double else torch.float32)
        model.to_empty(device="cpu").load_state_dict(self.state)
        return model.seeing(self.architecture.visible)  # to_empty forgot which


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """What stands on disk before anybody has made sense of it."""

    path: Path
    state: dict[str, Tensor]
    config: Mapping[str, Any]  # config.json beside the weights; empty if none
    num_heads: int | None = None  # told by the user or by the file of classes beside
    image_size: tuple[int, ...] | None = None  # likewise: no state dict contains them
    classes: tuple[str, ...] | None = None  # told by the file of classes beside
    wrapper: str = ""  # key of the training checkpoint that the weights were under


def refuse_unfit(
    state: Mapping[str, Tensor], architecture: Architecture, where: object
) -> None:
    """Say everything that keeps a state from fitting a network, in one line.

    Raises:
        CheckpointError: if anything is missing, unexpected or of another shape.
    """
    described = architecture.depth + sum(architecture.resnet)
    if described > len(state):  # building that many blocks may take for ever
        raise CheckpointError(
            f"{where}: is described with {described} blocks, and holds {len(state)}"
            " weights; needs a whole, unmixed file; nothing was loaded"
        )
    try:
        with torch.device("meta"):
            needed = VisionTransformer(architecture).state_dict()
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        cause = str(error).splitlines()[0]
        raise CheckpointError(f"{where}: describes no network ({cause})") from error
    faults = [
        f"{kind} {_some(sorted(names))}"
        for kind, names in (
            ("missing", needed.keys() - state.keys()),
            ("unexpected", state.keys() - needed.keys()),
        )
        if names
    ]
    other = [
        f"{name} is {list(state[name].shape)}, needs {list(needed[name].shape)}"
        for name in needed.keys() & state.keys()
        if state[name].shape != needed[name].shape
    ]
    if other:
        faults.append(f"of another shape: {_some(sorted(other))}")
    if faults:
        raise CheckpointError(
            f"{where}: does not fit the network that its other weights describe:"
            f" {'; '.join(faults)}; needs a whole, unmixed file; nothing was loaded"
        )


def refuse_no_numbers(state: Mapping[str, Tensor], where: object) -> None:
    """Refuse weights that would answer NaN to every scan.

    >>> refuse_no_numbers({"norm.weight": torch.ones(2)}, "model")

    Raises:
        CheckpointError: naming the weights that hold a NaN or an infinity.
    """
    bad = [name for name, value in state.items() if not value.isfinite().all()]
    if bad:
        raise CheckpointError(
            f"{where}: holds a NaN or an infinity in {_some(sorted(bad))}; needs finite"
            " weights, such as those of an earlier epoch; nothing was loaded"
        )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:6])
    return shown if len(names) <= 6 else f"{shown} and {len(names) - 6} more"
