"""Vision Transformers of Hugging Face transformers, both ways.

On disk its releases 4 and 5 use one set of names, in memory release 5 another; both
are read, with and without the prefix of the task. ``config.json`` tells the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vit_dementia.errors import CheckpointError
from vit_dementia.models.description import Architecture
from vit_dementia.models.weights.describe import described
from vit_dementia.models.weights.names import (
    PLAIN,
    refuse_inexpressible,
    renamed,
    reversed_names,
)
from vit_dementia.models.weights.record import RawFile, Weights

# Where a file comes without config.json, the class's own default counts.
DEFAULT_EPS = {"vit": 1e-12, "deit": 1e-12, "dinov2": 1e-6, "vit_mae": 1e-12}
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
}
HALF = (0.5, 0.5, 0.5)
_ON_DISK = "encoder.layer.{i}."
NAMES = {
    "embeddings.cls_token": "cls_token",
    "embeddings.distillation_token": "dist_token",
    "embeddings.register_tokens": "reg_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    _ON_DISK + "layernorm_before": "blocks.{i}.norm1",
    _ON_DISK + "attention.attention.query": "blocks.{i}.attn.q",
    _ON_DISK + "attention.attention.key": "blocks.{i}.attn.k",
    _ON_DISK + "attention.attention.value": "blocks.{i}.attn.v",
    _ON_DISK + "attention.output.dense": "blocks.{i}.attn.proj",
    _ON_DISK + "layernorm_after": "blocks.{i}.norm2",
    _ON_DISK + "intermediate.dense": "blocks.{i}.mlp.fc1",
    _ON_DISK + "output.dense": "blocks.{i}.mlp.fc2",
    "layernorm": "norm",
    "classifier": "head",
    "cls_classifier": "head",
    "distillation_classifier": "head_dist",
    "pooler.dense": "pre_logits.fc",
    # release 5 in memory, and DINOv2
    _ON_DISK + "attention.q_proj": "blocks.{i}.attn.q",
    _ON_DISK + "attention.k_proj": "blocks.{i}.attn.k",
    _ON_DISK + "attention.v_proj": "blocks.{i}.attn.v",
    _ON_DISK + "attention.o_proj": "blocks.{i}.attn.proj",
    _ON_DISK + "mlp.fc1": "blocks.{i}.mlp.fc1",
    _ON_DISK + "mlp.fc2": "blocks.{i}.mlp.fc2",
    _ON_DISK + "mlp.weights_in": "blocks.{i}.mlp.fc1",  # SwiGLU of DINOv2's g/14
    _ON_DISK + "mlp.gate_proj": "blocks.{i}.mlp.gate",
    _ON_DISK + "mlp.up_proj": "blocks.{i}.mlp.up",
    _ON_DISK + "mlp.weights_out": "blocks.{i}.mlp.fc2",
    _ON_DISK + "mlp.down_proj": "blocks.{i}.mlp.fc2",
    _ON_DISK + "norm1": "blocks.{i}.norm1",
    _ON_DISK + "norm2": "blocks.{i}.norm2",
    _ON_DISK + "layer_scale1.lambda1": "blocks.{i}.ls1.gamma",
    _ON_DISK + "layer_scale2.lambda1": "blocks.{i}.ls2.gamma",
}
_TASK = re.compile(r"^(vit|deit|dinov2|dinov2_with_registers)\.")
# Of pre-training by masking: nothing that a network which looks at whole images uses.
_UNUSED = re.compile(r"^(decoder\.|embeddings\.mask_token$)")


def recognize(names: set[str]) -> bool:
    """Say whether these are the names of transformers."""
    short = {_TASK.sub("", name) for name in names}
    return "embeddings.patch_embeddings.projection.weight" in short


def convert(raw: RawFile) -> Weights:
    """Take the weights, query, key and value put together as one.

    Raises:
        CheckpointError: if ``config.json`` asks for what is no plain network, or the
            weights are no whole one.
    """
    config = raw.config
    state = from_huggingface(raw.state)
    guess = "dinov2" if "blocks.0.ls1.gamma" in state else "vit"
    kind = str(config.get("model_type", guess)).replace("_with_registers", "")
    if kind not in DEFAULT_EPS:
        raise CheckpointError(
            f"{raw.path}: model_type {kind!r} is no plain Vision Transformer; needs one"
            f" of {', '.join(DEFAULT_EPS)}"
        )
    if kind == "dinov2" and "head.weight" in state:
        raise CheckpointError(
            f"{raw.path}: its head reads the class token and the mean patch side by"
            " side, which no other network does; needs the backbone alone"
        )
    activation = config.get("hidden_act", "gelu")
    if activation not in ACTIVATIONS or config.get("pooler_act", "tanh") != "tanh":
        raise CheckpointError(
            f"{raw.path}: hidden_act {activation!r} with pooler_act"
            f" {config.get('pooler_act', 'tanh')!r} is not known; needs hidden_act"
            f" among {', '.join(ACTIVATIONS)} and pooler_act 'tanh'"
        )
    told: dict[str, Any] = {}
    if not config.get("use_swiglu_ffn", "hidden_act" not in config):
        told["activation"] = ACTIVATIONS[activation]
    if (depth := config.get("num_hidden_layers")) is not None:
        told["depth"] = depth
    if "reg_token" in state:
        state = without_class_position(state)
        told["position_prefix"] = False
    has_registers = "reg_token" in state  # only their class smooths while resizing
    return described(
        raw,
        state,
        layout="huggingface",
        rule="bicubic-antialias" if has_registers else "bicubic",
        mean=config.get("image_mean", HALF),
        std=config.get("image_std", HALF),
        num_heads=config.get("num_attention_heads"),
        image_size=_sides(config.get("image_size")),
        classes=_class_names(config.get("id2label")),
        layer_norm_eps=config.get("layer_norm_eps", DEFAULT_EPS[kind]),
        **told,
    )


def from_huggingface(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of transformers under timm's names."""
    short = {}
    for name, value in state.items():
        bare = re.sub(r"^layers\.", "encoder.layer.", _TASK.sub("", name))
        if not _UNUSED.match(bare):
            short[bare] = value
    return fused(renamed(short, NAMES))


# What is stored apart in one file and as one matrix in another, in this order.
JOINED = {"attn.qkv": ("attn.q", "attn.k", "attn.v"), "mlp.fc1": ("mlp.gate", "mlp.up")}


def fused(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put query, key and value together, in this order; and the halves of a gated MLP.

    >>> names = [f"blocks.0.attn.{part}.bias" for part in "vqk"]
    >>> values = {name: torch.tensor([i]) for i, name in enumerate(names)}
    >>> fused(values)
    {'blocks.0.attn.qkv.bias': tensor([1, 2, 0])}
    """
    out = dict(state)
    for whole, parts in JOINED.items():
        first = re.compile(rf"(blocks\.\d+\.){re.escape(parts[0])}\.(weight|bias)")
        for name in state:
            if match := first.fullmatch(name):
                start, kind = match.groups()
                names = [f"{start}{part}.{kind}" for part in parts]
                if all(part in out for part in names):  # else reported as unexpected
                    joined = torch.cat([out.pop(part) for part in names])
                    out[f"{start}{whole}.{kind}"] = joined
    return out


def without_class_position(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the class token its own position, so that registers can follow without one.

    DINOv2 puts registers in after positions were added (Darcet et al. 2024).
    """
    out = dict(state)
    positions = out["pos_embed"]
    out["cls_token"] = out["cls_token"] + positions[:, :1]
    out["pos_embed"] = positions[:, 1:]
    return out


def to_huggingface(
    state: Mapping[str, Tensor], architecture: Architecture
) -> dict[str, Tensor]:
    """Return weights under the names that ``ViTForImageClassification`` loads.

    Raises:
        CheckpointError: if that class cannot express the network.
    """
    refuse_inexpressible(architecture, "huggingface", PLAIN | {"pre_logits": 0})
    parts = {}
    for name, value in state.items():
        if match := re.fullmatch(r"(blocks\.\d+\.attn\.)qkv\.(weight|bias)", name):
            start, kind = match.groups()
            for part, third in zip("qkv", value.chunk(3), strict=True):
                parts[f"{start}{part}.{kind}"] = third
        else:
            parts[name] = value
    return {
        name if name.startswith("classifier") else f"vit.{name}": value
        for name, value in renamed(parts, reversed_names(NAMES)).items()
    }


def config_of(architecture: Architecture, classes: Sequence[str]) -> dict[str, Any]:
    """Return the ``config.json`` that goes with the weights."""
    a = architecture
    height, width = a.image_size
    patch_height, patch_width = a.patch_size
    square = height == width and patch_height == patch_width
    return {
        "architectures": ["ViTForImageClassification"],
        "model_type": "vit",
        "hidden_size": a.embed_dim,
        "num_hidden_layers": a.depth,
        "num_attention_heads": a.num_heads,
        "intermediate_size": a.mlp_dim,
        "hidden_act": "gelu" if a.activation == "gelu" else "gelu_pytorch_tanh",
        "layer_norm_eps": a.layer_norm_eps,
        "image_size": height if square else [height, width],
        "patch_size": patch_height if square else [patch_height, patch_width],
        "num_channels": a.channels,
        "qkv_bias": a.qkv_bias,
        "hidden_dropout_prob": a.dropout,
        "attention_probs_dropout_prob": a.attention_dropout,
        "id2label": {str(i): name for i, name in enumerate(classes)},
        "label2id": {name: i for i, name in enumerate(classes)},
    }


def _sides(size: object) -> tuple[int, ...] | None:
    if isinstance(size, int):
        return (size, size)
    return tuple(size) if isinstance(size, list | tuple) else None


def _class_names(names: object) -> tuple[str, ...] | None:
    """Return the class names in order, unless they are the ``LABEL_0`` of no names."""
    if not isinstance(names, Mapping):
        return None
    ordered = [str(names[key]) for key in sorted(names, key=int)]
    return None if ordered[0] == "LABEL_0" else tuple(ordered)
