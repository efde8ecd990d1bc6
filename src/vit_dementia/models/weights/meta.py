"""DINO, DINOv2, DeiT III and MAE: timm's names with something of their training about.

Heads of self-distillation, mask tokens and decoders only serve pre-training and are
dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vit_dementia.models.positions import Rule
from vit_dementia.models.weights.describe import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    described,
)
from vit_dementia.models.weights.huggingface import without_class_position
from vit_dementia.models.weights.record import RawFile, Weights

_RENAMED = {
    r"^blocks\.\d+\.(\d+)\.": r"blocks.\1.",  # DINOv2 trains in chunks of blocks
    r"\.gamma_([12])$": r".ls\1.gamma",  # DeiT III
    r"^register_tokens$": "reg_token",
    r"\.mlp\.w12\.": ".mlp.fc1.",  # SwiGLU of g/14, gates first
    r"\.mlp\.w3\.": ".mlp.fc2.",
}
_DROPPED = re.compile(r"mask_token$|decoder_")


def recognize(names: set[str]) -> bool:
    """Say whether one of the marks of these trainings is there."""
    marks = r"backbone\.(cls_token|blocks\.)|mask_token$|decoder_|register_tokens$"
    marks += r"|blocks\.\d+\.gamma_1$|blocks\.\d+\.\d+\.norm1"
    return any(re.match(marks, name) for name in names)


def convert(raw: RawFile) -> Weights:
    """Take the backbone; what only served pre-training is dropped."""
    state = from_meta(raw.state)
    layout, rule = _kind_of(raw.state)
    told: dict[str, Any] = {}
    if "reg_token" in state:
        state, told = without_class_position(state), {"position_prefix": False}
    return described(
        raw,
        state,
        layout=layout,
        rule=rule,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        **told,
    )


def _kind_of(names: Mapping[str, Tensor]) -> tuple[str, Rule]:
    if any("register_tokens" in name for name in names):
        return "dinov2", "bicubic-antialias"
    if any(name.startswith("decoder_") for name in names):
        return "mae", "bicubic"
    if any(name.endswith(".gamma_1") for name in names):
        return "deit", "bicubic"
    is_second = any("mask_token" in name or "ls1" in name for name in names)
    return ("dinov2" if is_second else "dino"), "dino"


def from_meta(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the backbone's weights under timm's names."""
    inside = {n for n in state if n.startswith("backbone.")}
    out = {}
    for name, value in state.items():
        if inside and name not in inside:
            continue  # the head of self-distillation
        new = name.removeprefix("backbone.")
        if _DROPPED.match(new):
            continue
        for pattern, replacement in _RENAMED.items():
            new = re.sub(pattern, replacement, new)
        out[new] = value
    return out
