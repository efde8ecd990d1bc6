"""Writing the ``.npz`` files of Google's code, as the published ones are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from vit_dementia.errors import CheckpointError
from vit_dementia.models.description import Architecture
from vit_dementia.models.weights.google import TOP_NAMES
from vit_dementia.models.weights.names import PLAIN, refuse_inexpressible


def to_google(
    state: Mapping[str, Tensor], architecture: Architecture
) -> dict[str, Tensor]:
    """Return weights as the published files have them (LayerNorm_0 and _2).

    Raises:
        CheckpointError: if Google's code would give other logits.
    """
    refuse_inexpressible(
        architecture,
        "google",
        PLAIN
        | {
            "activation": "gelu_tanh",
            "layer_norm_eps": 1e-6,
            "qkv_bias": True,
            "pooling": ("cls", "mean"),
            "positions": "learned",
            "fc_norm": False,
        },
    )
    if architecture.pooling == "mean" and architecture.class_token:
        raise CheckpointError(
            "google: cannot express this network: its mean takes in the class token;"
            " choose another format, such as native"
        )
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        if block := re.fullmatch(r"blocks\.(\d+)\.(.+)\.(weight|bias)", name):
            number, part, leaf = block.groups()
            start = f"Transformer/encoderblock_{number}/"
            out |= _BLOCK_WRITERS[part](start, leaf, value, architecture.num_heads)
        else:
            out |= _written_top(name, value)
    return {name: value.contiguous() for name, value in out.items()}


def _written_top(name: str, value: Tensor) -> dict[str, Tensor]:
    names = {
        new: old for old, new in TOP_NAMES.items()
    }  # the later one: posembed_input
    if name in names:
        return {names[name]: value}
    part, _, leaf = name.rpartition(".")
    if leaf == "bias":
        return {f"{names[part]}/bias": value}
    if part == "norm":
        return {f"{names[part]}/scale": value}
    turned = value.permute(2, 3, 1, 0) if value.ndim == 4 else value.T
    return {f"{names[part]}/kernel": turned}


def _written_norm(index: int) -> Callable[..., dict[str, Tensor]]:
    def write(start: str, leaf: str, value: Tensor, _heads: int) -> dict[str, Tensor]:
        theirs = "scale" if leaf == "weight" else "bias"
        return {f"{start}LayerNorm_{index}/{theirs}": value}

    return write


def _written_dense(index: int) -> Callable[..., dict[str, Tensor]]:
    def write(start: str, leaf: str, value: Tensor, _heads: int) -> dict[str, Tensor]:
        if leaf == "bias":
            return {f"{start}MlpBlock_3/Dense_{index}/bias": value}
        return {f"{start}MlpBlock_3/Dense_{index}/kernel": value.T}

    return write


def _written_qkv(start: str, leaf: str, value: Tensor, heads: int) -> dict[str, Tensor]:
    out = {}
    for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
        where = f"{start}MultiHeadDotProductAttention_1/{part}/"
        if leaf == "bias":
            out[where + "bias"] = third.unflatten(0, (heads, -1))
        else:
            out[where + "kernel"] = third.T.unflatten(1, (heads, -1))
    return out


def _written_proj(
    start: str, leaf: str, value: Tensor, heads: int
) -> dict[str, Tensor]:
    where = f"{start}MultiHeadDotProductAttention_1/out/"
    if leaf == "bias":
        return {where + "bias": value}
    return {where + "kernel": value.T.unflatten(0, (heads, -1))}


_BLOCK_WRITERS: dict[str, Callable[..., dict[str, Tensor]]] = {
    "norm1": _written_norm(0),
    "norm2": _written_norm(2),
    "mlp.fc1": _written_dense(0),
    "mlp.fc2": _written_dense(1),
    "attn.qkv": _written_qkv,
    "attn.proj": _written_proj,
}
