"""Reading the ``.npz`` files of Google's code (vit_jax, big_vision).

Four generations differ in how parts are numbered, so the numbers are read from the
keys. All of them mean GELU in its tanh form, eps 1e-6, inputs in [-1, 1], and
normalizing before averaging. Matrices are [inputs, outputs], attention's [D, heads, c].
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from vit_dementia.models.weights.describe import described
from vit_dementia.models.weights.record import RawFile, Weights

_PREFIX = re.compile(r"^(opt/target/|params/img/|params/)")
_BLOCK = re.compile(r"Transformer/encoderblock_?(\d*)/(\w+?)_(\d+)/(.+)")
_UNIT = re.compile(r"block(\d+)/unit0*(\d+)/(\w+)/(kernel|scale|bias)")
_UNIT_PARTS = {
    **{f"conv{i}": f"conv{i}" for i in (1, 2, 3)},
    **{f"gn{i}": f"norm{i}" for i in (1, 2, 3)},
    "conv_proj": "downsample.conv",
    "gn_proj": "downsample.norm",
}
TOP_NAMES = {
    "cls": "cls_token",
    "pos_embedding": "pos_embed",
    "Transformer/posembed_input/pos_embedding": "pos_embed",
    "embedding": "patch_embed.proj",
    "conv_root": "patch_embed.backbone.stem.conv",
    "gn_root": "patch_embed.backbone.stem.norm",
    "Transformer/encoder_norm": "norm",
    "pre_logits": "pre_logits.fc",
    "head": "head",
    "MAPHead_0/probe": "attn_pool.latent",
    "MAPHead_0/LayerNorm_0": "attn_pool.norm",
    "MAPHead_0/MlpBlock_0/Dense_0": "attn_pool.mlp.fc1",
    "MAPHead_0/MlpBlock_0/Dense_1": "attn_pool.mlp.fc2",
}
HALF = (0.5,)  # inputs in [-1, 1]
_LEAVES = {"kernel": ".weight", "scale": ".weight", "bias": ".bias"}


def recognize(names: set[str]) -> bool:
    """Say whether these are the names of Google's code."""
    return "embedding/kernel" in {_PREFIX.sub("", name) for name in names}


def convert(raw: RawFile) -> Weights:
    """Take the weights, turned to PyTorch's order."""
    bare = {_PREFIX.sub("", name): value for name, value in raw.state.items()}
    queries = [v for n, v in bare.items() if n.endswith("query/kernel")]
    if queries:
        raw = replace(raw, num_heads=queries[0].shape[-2])
    state = from_google(bare)
    if "pos_embed" not in state and raw.image_size is not None:
        state["pos_embed"] = _big_vision_sincos(state, raw.image_size)
    return described(
        raw,
        state,
        layout="google",
        rule="bilinear-corners",
        mean=HALF,
        std=HALF,
        activation="gelu_tanh",
    )


def from_google(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return Google's weights under timm's names, each in PyTorch's order."""
    out: dict[str, Tensor] = {}
    apart: dict[str, dict[str, Tensor]] = {}  # query, key and value, to be joined
    norms = _norm_numbers(state)
    for name, value in _unstacked(state).items():
        if block := _BLOCK.fullmatch(name):
            number, part, index, rest = block.groups()
            start = f"blocks.{number}."
            if part == "LayerNorm":
                start += f"norm{1 + norms.index(int(index))}"
                out[start + _LEAVES[rest]] = value
            elif part == "MlpBlock":
                dense, _, leaf = rest.partition("/")
                start += f"mlp.fc{int(dense[-1]) + 1}"
                out[start + _LEAVES[leaf]] = _turned(value)
            else:
                _attention(start + "attn.", rest, value, out, apart)
        elif name.startswith("MAPHead_0/MultiHeadDotProductAttention_0/"):
            rest = name.split("/", 2)[2]
            _attention("attn_pool.", rest, value, out, apart)
        elif unit := _UNIT.fullmatch(name):
            stage, number, part, leaf = unit.groups()
            start = f"patch_embed.backbone.stages.{int(stage) - 1}.blocks."
            part = _UNIT_PARTS.get(part, part)
            out[f"{start}{int(number) - 1}.{part}{_LEAVES[leaf]}"] = _turned(value)
        else:
            out |= _top(name, value)
    for start, parts in apart.items():
        out |= _joined(start, parts)
    if not any(".stages." in name for name in out):  # a root alone has no stem in timm
        out = {n.replace("backbone.stem.", "backbone."): v for n, v in out.items()}
    return {name: value.contiguous() for name, value in out.items()}


def _unstacked(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Cut blocks that were scanned over (a leading axis of depth) into single ones."""
    out = {}
    for name, value in state.items():
        start = "Transformer/encoderblock/"
        if name.startswith(start):
            for i, part in enumerate(value):
                out[f"Transformer/encoderblock_{i}/{name.removeprefix(start)}"] = part
        else:
            out[name] = value
    return out


def _norm_numbers(state: Mapping[str, Tensor]) -> list[int]:
    """Return the numbers of a block's norms: 0 and 2 before linen, 0 and 1 since."""
    found = {
        int(match[3])
        for name in state
        if (match := _BLOCK.fullmatch(name)) and match[2] == "LayerNorm"
    }
    return sorted(found)


def _attention(
    start: str,
    rest: str,
    value: Tensor,
    out: dict[str, Tensor],
    apart: dict[str, dict[str, Tensor]],
) -> None:
    part, _, leaf = rest.partition("/")
    if part == "out":  # [heads, c, D]
        out[start + "proj" + _LEAVES[leaf]] = (
            value.flatten(0, 1).T if leaf == "kernel" else value
        )
    else:  # [D, heads, c] and [heads, c]
        flat = value.flatten(1).T if leaf == "kernel" else value.flatten()
        apart.setdefault(start, {})[part + _LEAVES[leaf]] = flat


def _joined(start: str, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}
    pooled = start == "attn_pool."
    for leaf in (".weight", ".bias"):
        names = [part + leaf for part in ("query", "key", "value")]
        if not all(name in parts for name in names):
            continue
        query, key, value = (parts[name] for name in names)
        if pooled:
            out |= {
                f"{start}q{leaf}": query,
                f"{start}kv{leaf}": torch.cat([key, value]),
            }
        else:
            out[f"{start}qkv{leaf}"] = torch.cat([query, key, value])
    return out


def _top(name: str, value: Tensor) -> dict[str, Tensor]:
    if name in TOP_NAMES:  # tokens and positions are used as they are
        return {TOP_NAMES[name]: value if value.ndim == 3 else value[None]}
    stem, _, leaf = name.rpartition("/")
    if stem in TOP_NAMES and leaf in _LEAVES:
        return {TOP_NAMES[stem] + _LEAVES[leaf]: _turned(value)}
    return {name: value}


def _turned(value: Tensor) -> Tensor:
    """Return [..., inputs, outputs] as [outputs, inputs, ...]; group norms flat."""
    if value.ndim == 4 and value.shape[:3] == (1, 1, 1) and value.shape[3] > 1:
        return value.flatten()
    if value.ndim == 4:
        return value.permute(3, 2, 0, 1)
    return value.T if value.ndim == 2 else value


def _big_vision_sincos(
    state: Mapping[str, Tensor], image_size: tuple[int, ...]
) -> Tensor:
    """Return big_vision's fixed positions, which its files leave out.

    Their frequencies divide by D/4 - 1, not by D/4 as MoCo v3's do.
    """
    kernel = state["patch_embed.proj.weight"]
    grid = [i // p for i, p in zip(image_size, kernel.shape[2:], strict=True)]
    waves = kernel.shape[0] // 4
    omega = 1 / 10_000 ** (torch.arange(waves, dtype=torch.float64) / (waves - 1))
    y, x = torch.meshgrid(
        *(torch.arange(side, dtype=torch.float64) for side in grid), indexing="ij"
    )
    down, along = y.flatten()[:, None] * omega, x.flatten()[:, None] * omega
    table = torch.cat([along.sin(), along.cos(), down.sin(), down.cos()], dim=1)
    return table[None].to(kernel.dtype)
