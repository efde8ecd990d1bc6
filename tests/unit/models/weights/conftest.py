"""A Vision Transformer in NumPy, from the documented formulas; imports nothing of ours.

Everything also works on complex numbers, so that a derivative along a direction is the
imaginary part of one evaluation (the complex step), exact to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.special
import torch

collect_ignore = ["peers"]  # scripts for another environment
Array = np.ndarray


def gelu(x: Array) -> Array:
    return x * (1 + scipy.special.erf(x / np.sqrt(2))) / 2


def gelu_tanh(x: Array) -> Array:
    return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2


def layer_norm(x: Array, scale: Array, bias: Array, eps: float) -> Array:
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps) * scale + bias


def softmax(x: Array) -> Array:
    e = np.exp(x - x.real.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@dataclass
class Block:
    """Weights of one block; matrices are [inputs, outputs], heads apart."""

    norm1: tuple[Array, Array]
    query: tuple[Array, Array]  # [D, h, c] and [h, c]
    key: tuple[Array, Array]
    value: tuple[Array, Array]
    out: tuple[Array, Array]  # [h, c, D] and [D]
    norm2: tuple[Array, Array]
    fc1: tuple[Array, Array]
    fc2: tuple[Array, Array]
    scale: tuple[Array | float, Array | float] = (1.0, 1.0)


@dataclass
class Trace:
    """What the encoder gave on its way."""

    blocks: list[Array] = field(default_factory=list)
    attention: list[Array] = field(default_factory=list)


def attend(q, k, v, out):
    """Return the output and the map of attention; q, k, v are [n, h, c]."""
    weights = softmax(np.einsum("ihc,jhc->hij", q, k) / np.sqrt(q.shape[-1]))
    heads = np.einsum("hij,jhc->ihc", weights, v)
    return np.einsum("ihc,hcd->id", heads, out[0]) + out[1], weights


def encode(
    z: Array, blocks: Sequence[Block], eps: float, act: Callable[[Array], Array]
) -> tuple[Array, Trace]:
    trace = Trace()
    for b in blocks:
        y = layer_norm(z, *b.norm1, eps)
        q, k, v = (
            np.einsum("nd,dhc->nhc", y, kernel) + bias
            for kernel, bias in (b.query, b.key, b.value)
        )
        attended, weights = attend(q, k, v, b.out)
        z = z + b.scale[0] * attended
        y = layer_norm(z, *b.norm2, eps)
        z = z + b.scale[1] * (act(y @ b.fc1[0] + b.fc1[1]) @ b.fc2[0] + b.fc2[1])
        trace.blocks.append(z)
        trace.attention.append(weights)
    return z, trace


def patches(image: Array, kernel: Array, bias: Array) -> Array:
    """Cut [h, w, c] into patches and multiply by a kernel [p, p, c, D], row by row."""
    p, r = kernel.shape[:2]
    rows, columns = image.shape[0] // p, image.shape[1] // r
    cut = image.reshape(rows, p, columns, r, -1).transpose(0, 2, 1, 3, 4)
    return cut.reshape(rows * columns, -1) @ kernel.reshape(-1, kernel.shape[3]) + bias


def torch_block(state: Mapping[str, Array], i: int, heads: int, ls=None) -> Block:
    """Return a block of a state dict under timm's names."""
    s = {k.removeprefix(f"blocks.{i}."): v for k, v in state.items()}
    d = s["norm1.weight"].shape[0]
    kernels = s["attn.qkv.weight"].reshape(3, heads, -1, d).transpose(0, 3, 1, 2)
    biases = s["attn.qkv.bias"].reshape(3, heads, -1)
    q, k, v = zip(kernels, biases, strict=True)
    return Block(
        norm1=(s["norm1.weight"], s["norm1.bias"]),
        query=q,
        key=k,
        value=v,
        out=(s["attn.proj.weight"].T.reshape(heads, -1, d), s["attn.proj.bias"]),
        norm2=(s["norm2.weight"], s["norm2.bias"]),
        fc1=(s["mlp.fc1.weight"].T, s["mlp.fc1.bias"]),
        fc2=(s["mlp.fc2.weight"].T, s["mlp.fc2.bias"]),
        scale=(s[ls[0]], s[ls[1]]) if ls else (1.0, 1.0),
    )


def assert_same_network(model, image: Array, reference) -> None:
    """Hold logits, tokens, blocks, maps and input gradient of a network to a reference.

    Args:
        model: ours, float64.
        image: [h, w, c] or [h, w, d, c].
        reference: gives (logits, tokens, trace) for an image, real or complex.
    """
    x = torch.from_numpy(np.moveaxis(image, -1, 0).copy())[None].requires_grad_()
    logits, tokens, trace = reference(image)
    ours = model(x)
    close = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(ours[0].detach().numpy(), logits, **close)
    np.testing.assert_allclose(
        model.forward_features(x)[0].detach().numpy(), tokens, **close
    )
    z = model.embed(x)
    for block, expected in zip(model.blocks, trace.blocks, strict=True):
        z = block(z)
        np.testing.assert_allclose(z[0].detach().numpy(), expected, **close)
    maps = model.attention_weights(x)
    for found, expected in zip(maps, trace.attention, strict=True):
        np.testing.assert_allclose(found[0].detach().numpy(), expected, **close)
    rng = np.random.default_rng(0)
    cotangent = rng.normal(size=logits.shape)
    (gradient,) = torch.autograd.grad(ours[0] @ torch.from_numpy(cotangent), x)
    for _ in range(3):
        direction = rng.normal(size=image.shape)
        step = reference(image + 1e-20j * direction)[0].imag / 1e-20
        along = np.moveaxis(direction, -1, 0)[None]
        np.testing.assert_allclose(
            (gradient.numpy() * along).sum(), step @ cotangent, rtol=1e-9, atol=1e-9
        )
    single = model.float()(x.detach().float())[0].detach().numpy()
    np.testing.assert_allclose(single, logits, rtol=3e-5, atol=3e-5)
    model.double()


@pytest.fixture
def numpy_vit() -> SimpleNamespace:
    """Return the pieces of the reference."""
    return SimpleNamespace(**{
        f.__name__: f
        for f in (
            gelu, gelu_tanh, layer_norm, softmax, Block, Trace, attend, encode,
            patches, torch_block, assert_same_network,
        )
    })  # fmt: skip
