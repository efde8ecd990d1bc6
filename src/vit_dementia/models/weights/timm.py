"""State dicts under timm's names, which are ours: nothing to rename, either way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vit_dementia.errors import CheckpointError
from vit_dementia.models.weights.describe import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    described,
)
from vit_dementia.models.weights.names import refuse_inexpressible
from vit_dementia.models.weights.record import RawFile, Weights

# Models whose class asks for tanh GELU, which no weight tells (timm 1.0.31).
_TANH_MODELS = re.compile(
    r"vit_(base_patch32|so400m_patch16|giantopt_patch16)_siglip"
    r"|vit_large_patch16_siglip(_gap)?_512"
)
# Models with another number of heads than others of their width.
_SIXTEEN_HEADS = re.compile(r"vit_base_patch16_gap_224|vit_giantopt_")
_POOLING = {"cls": "token", "mean": "avg", "map": "map"}


def recognize(names: set[str]) -> bool:
    """Say whether these are timm's names."""
    return {"patch_embed.proj.weight", "blocks.0.attn.qkv.weight"} <= names


def convert(raw: RawFile) -> Weights:
    """Take the weights as they are; ``config.json`` beside tells what they omit."""
    about = raw.config.get("pretrained_cfg", {})
    arguments = raw.config.get("model_args", {})
    pooling = arguments.get("global_pool", raw.config.get("global_pool"))
    told: dict[str, Any] = {}
    if pooling == "avg":
        told["pooling"] = "mean"
    if arguments.get("pos_embed") == "none":
        told["positions"] = "none"
    name = str(raw.config.get("architecture", ""))
    is_tanh = _TANH_MODELS.search(name)
    if arguments.get("act_layer") == "gelu_tanh" or is_tanh:
        told["activation"] = "gelu_tanh"
    from_research = raw.wrapper == "model"  # DeiT and MAE resize as their scripts do
    return described(
        raw,
        raw.state,
        layout="timm",
        rule="bicubic" if from_research else "bicubic-antialias",
        mean=about.get("mean", IMAGENET_MEAN),
        std=about.get("std", IMAGENET_STD),
        num_heads=arguments.get("num_heads")
        or (16 if _SIXTEEN_HEADS.match(name) else None),
        image_size=_sides(arguments.get("img_size")),
        classes=_names(raw.config.get("label_names")),
        **told,
    )


def config_of(weights: Weights) -> dict[str, Any]:
    """Return the ``config.json`` by which timm builds the class around the weights.

    Raises:
        CheckpointError: if timm's class cannot express the network.
    """
    a = weights.architecture
    if a.stem == "resnet":
        raise CheckpointError(
            "timm: cannot express this network: its stem is the paper's ResNet, whose"
            " group norms add 1e-6 and whose kernels are standardized with 1e-5; timm's"
            " add 1e-5 and 1e-8; choose another format, such as native"
        )
    gated = a.activation == "swiglu" and a.layer_scale is not None
    refuse_inexpressible(
        a,
        "timm",
        {
            "axes": 2,
            # The one class of timm that gates cannot be told to scale no layer.
            "activation": ("gelu", "gelu_tanh", *(["swiglu"] if gated else [])),
            "layer_norm_eps": 1e-6,
            "stem": "patch",
            "distilled": False,
            "pre_logits": 0,
            "locality": False,
            "slice_attention": 0,
            "logits_tanh": False,
        },
    )
    arguments: dict[str, Any] = {
        "img_size": list(a.image_size),
        "patch_size": list(a.patch_size),
        "in_chans": a.channels,
        "embed_dim": a.embed_dim,
        "depth": a.depth,
        "num_heads": a.num_heads,
        # timm takes the whole part of the product; the half guards against rounding.
        "mlp_ratio": ((1 + gated) * a.mlp_dim + 0.5) / a.embed_dim,
        "global_pool": _POOLING[a.pooling],
        "fc_norm": a.fc_norm,
        "class_token": a.class_token,
        "reg_tokens": a.num_registers,
        "no_embed_class": not a.position_prefix,
        "pos_embed": "none" if a.positions == "none" else "learn",
        "qkv_bias": a.qkv_bias,
        "qk_norm": a.qk_norm,
        "init_values": a.layer_scale,
    }
    if not gated:
        arguments["act_layer"] = a.activation
    config: dict[str, Any] = {
        # Any one of the kind: all numbers are given.
        "architecture": "vit_giant_patch14_dinov2" if gated else "vit_base_patch16_224",
        "num_classes": a.num_classes,
        "num_features": a.embed_dim,
        "global_pool": _POOLING[a.pooling],
        "model_args": arguments,
        "pretrained_cfg": {
            "num_classes": a.num_classes,
            "input_size": [a.channels, *a.image_size],
            "fixed_input_size": True,
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "mean": list(weights.mean or (0.0,) * a.channels),
            "std": list(weights.std or (1.0,) * a.channels),
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
    }
    if weights.classes is not None:
        config["label_names"] = list(weights.classes)
    return config


def without_prefixes(name: str) -> str:
    """Strip what wrappers for several devices and compiling put in front, in any order.

    >>> without_prefixes("_orig_mod.module.cls_token")
    'cls_token'
    """
    return re.sub(r"^(module\.|_orig_mod\.)+", "", name)


def _sides(size: object) -> tuple[int, ...] | None:
    if isinstance(size, int):
        return (size, size)
    return tuple(size) if isinstance(size, list | tuple) else None


def _names(names: object) -> tuple[str, ...] | None:
    if isinstance(names, Mapping):
        names = list(names.values())
    return tuple(map(str, names)) if isinstance(names, list) else None
