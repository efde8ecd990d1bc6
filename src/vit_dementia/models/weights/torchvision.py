"""The Vision Transformers of torchvision, both ways.

Its attention holds query, key and value as one matrix in the same order as timm.
"""

from __future__ import annotations

from torch import Tensor

from vit_dementia.models.description import Architecture
from vit_dementia.models.weights.describe import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    described,
)
from vit_dementia.models.weights.names import (
    PLAIN,
    refuse_inexpressible,
    renamed,
    reversed_names,
)
from vit_dementia.models.weights.record import RawFile, Weights

_LAYER = "encoder.layers.encoder_layer_{i}."
NAMES = {
    "class_token": "cls_token",
    "encoder.pos_embedding": "pos_embed",
    "conv_proj": "patch_embed.proj",
    _LAYER + "ln_1": "blocks.{i}.norm1",
    _LAYER + "self_attention.in_proj_weight": "blocks.{i}.attn.qkv.weight",
    _LAYER + "self_attention.in_proj_bias": "blocks.{i}.attn.qkv.bias",
    _LAYER + "self_attention.out_proj": "blocks.{i}.attn.proj",
    _LAYER + "ln_2": "blocks.{i}.norm2",
    _LAYER + "mlp.0": "blocks.{i}.mlp.fc1",
    _LAYER + "mlp.3": "blocks.{i}.mlp.fc2",
    _LAYER + "mlp.linear_1": "blocks.{i}.mlp.fc1",  # until torchvision 0.12
    _LAYER + "mlp.linear_2": "blocks.{i}.mlp.fc2",
    "encoder.ln": "norm",
    "heads.pre_logits": "pre_logits.fc",  # representation_size
    "heads.head": "head",
    "heads": "head",  # replaced by a bare Linear, as the historical script does
}


def recognize(names: set[str]) -> bool:
    """Say whether these are torchvision's names."""
    return "class_token" in names and "encoder.pos_embedding" in names


def convert(raw: RawFile) -> Weights:
    """Take the weights as they are."""
    return described(
        raw,
        renamed(raw.state, NAMES),
        layout="torchvision",
        rule="bicubic-corners",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )


def to_torchvision(
    state: dict[str, Tensor], architecture: Architecture, *, bare_head: bool = False
) -> dict[str, Tensor]:
    """Return weights under the names that torchvision loads.

    Args:
        state: under timm's names.
        architecture: of the network they belong to.
        bare_head: ``heads.weight``, as after ``model.heads = nn.Linear(...)``, instead
            of ``heads.head.weight``.

    Raises:
        CheckpointError: if torchvision's class would give other logits.
    """
    refuse_inexpressible(
        architecture,
        "torchvision",
        PLAIN
        | {
            "shape of images": "square",
            "channels": 3,
            "layer_norm_eps": 1e-6,
            "activation": "gelu",
            "qkv_bias": True,
        },
    )
    names = reversed_names(NAMES)
    return renamed(state, names | {"head": "heads"} if bare_head else names)
