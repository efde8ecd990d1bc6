"""The ``.pth`` files of the historical project (``fbrynpk/ViT-Dementia``), both ways.

Its LayerNorms add 1e-5. Its files say neither their classes nor their heads, so a
``.classes.json`` lies beside those that are written here.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from vit_dementia.files import write_bytes, write_json
from vit_dementia.models.description import Architecture
from vit_dementia.models.weights.describe import described
from vit_dementia.models.weights.names import (
    PLAIN,
    refuse_inexpressible,
    renamed,
    reversed_names,
)
from vit_dementia.models.weights.record import RawFile, Weights

LAYER_NORM_EPS = 1e-5
_LAYER = "transformer_encoder.{i}."
NAMES = {
    "class_embedding": "cls_token",
    "position_embedding": "pos_embed",
    "patch_embedding_layer.patcher": "patch_embed.proj",
    _LAYER + "msa_block.layer_norm": "blocks.{i}.norm1",
    _LAYER + "msa_block.multihead_attention.in_proj_weight": (
        "blocks.{i}.attn.qkv.weight"
    ),
    _LAYER + "msa_block.multihead_attention.in_proj_bias": "blocks.{i}.attn.qkv.bias",
    _LAYER + "msa_block.multihead_attention.out_proj": "blocks.{i}.attn.proj",
    _LAYER + "mlp_block.layer_norm": "blocks.{i}.norm2",
    _LAYER + "mlp_block.mlp.0": "blocks.{i}.mlp.fc1",
    _LAYER + "mlp_block.mlp.3": "blocks.{i}.mlp.fc2",
    "classifier.0": "norm",
    "classifier.1": "head",
}


def recognize(names: set[str]) -> bool:
    """Say whether these are the historical names."""
    return (
        "class_embedding" in names and "patch_embedding_layer.patcher.weight" in names
    )


def convert(raw: RawFile) -> Weights:
    """Take the weights as they are."""
    return described(
        raw,
        from_historical(raw.state),
        layout="historical",
        rule="bicubic-antialias",
        layer_norm_eps=LAYER_NORM_EPS,
    )


def from_historical(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return historical weights under timm's names."""
    return renamed(state, NAMES)


def to_historical(
    state: dict[str, Tensor], architecture: Architecture
) -> dict[str, Tensor]:
    """Return weights under the names that the historical class loads.

    Raises:
        CheckpointError: if that class would give other logits.
    """
    refuse_inexpressible(
        architecture,
        "historical",
        PLAIN
        | {
            "layer_norm_eps": LAYER_NORM_EPS,
            "activation": "gelu",
            "qkv_bias": True,
            "pre_logits": 0,
        },
    )
    return renamed(state, reversed_names(NAMES))


def save(
    path: Path,
    state: dict[str, Tensor],
    architecture: Architecture,
    classes: Sequence[str],
) -> None:
    """Write ``path`` and its ``.classes.json``: what the historical script left, told.

    Raises:
        CheckpointError: if the historical class would give other logits.
    """
    theirs = to_historical(state, architecture)
    save_state(path, theirs, architecture, classes)


def save_state(
    path: Path,
    state: dict[str, Tensor],
    architecture: Architecture,
    classes: Sequence[str],
) -> None:
    """Write a plain state dict as ``.pth`` and what it does not say beside it."""
    # By way of memory: on a full disk torch's own writer ends the process.
    whole = io.BytesIO()
    torch.save({k: v.detach().cpu().clone() for k, v in state.items()}, whole)
    write_bytes(path, whole.getvalue())
    content = {
        "classes": list(classes),
        "image_size": list(architecture.image_size),
        "num_heads": architecture.num_heads,
    }
    write_json(classes_file(path), content)


def classes_file(path: Path) -> Path:
    """Return where the class list of a weight file lies.

    >>> classes_file(Path("models/ViTModel.pth")).name
    'ViTModel.classes.json'
    """
    return path.with_name(path.stem + ".classes.json")
