"""DINO, DINOv2, DeiT III and MAE against a NumPy forward pass of the formulas."""

from __future__ import annotations

import argparse
import re

import numpy as np
import pytest
import torch

from vit_dementia.config import VitConfig
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.models.weights import load_model, read_weights
from vit_dementia.models.weights.reading import weights_in
from vit_dementia.models.weights.record import RawFile

D, HEADS, DEPTH, PATCH = 24, 3, 3, 4
THREE = VitConfig(num_heads=HEADS)


def backbone(*, rows: int, scales: tuple[str, str] | None = None):
    """Return random weights under timm's names, with this many positions."""
    generator = torch.Generator().manual_seed(0)

    def make(*shape):
        return torch.randn(shape, dtype=torch.float64, generator=generator) * 0.4

    w = {
        "cls_token": make(1, 1, D),
        "pos_embed": make(1, rows, D),
        "patch_embed.proj.weight": make(D, 3, PATCH, PATCH),
        "patch_embed.proj.bias": make(D),
        "norm.weight": make(D),
        "norm.bias": make(D),
    }
    for i in range(DEPTH):
        for name, shape in (
            ("norm1", (D,)),
            ("attn.qkv", (3 * D, D)),
            ("attn.proj", (D, D)),
            ("norm2", (D,)),
            ("mlp.fc1", (2 * D, D)),
            ("mlp.fc2", (D, 2 * D)),
        ):
            w[f"blocks.{i}.{name}.weight"] = make(*shape)
            w[f"blocks.{i}.{name}.bias"] = make(shape[0])
        for scale in scales or ():
            w[f"blocks.{i}.{scale}"] = make(D)
    return w


def reference(
    w, numpy_vit, *, scales=None, class_position=True, registers=None, normalized=True
):
    a = {name: value.numpy() for name, value in w.items()}
    blocks = [numpy_vit.torch_block(a, i, HEADS, scales) for i in range(DEPTH)]
    kernel = a["patch_embed.proj.weight"].transpose(2, 3, 1, 0)

    def forward(image):
        z = numpy_vit.patches(image, kernel, a["patch_embed.proj.bias"])
        cls = a["cls_token"][0]
        if class_position:
            z = np.concatenate([cls, z]) + a["pos_embed"][0]
        else:
            z = np.concatenate([cls, z + a["pos_embed"][0]])
        if registers is not None:  # after the positions, behind the class token
            z = np.concatenate([z[:1], registers.numpy()[0], z[1:]])
        z, trace = numpy_vit.encode(z, blocks, 1e-6, numpy_vit.gelu)
        tokens = z
        if normalized:
            tokens = numpy_vit.layer_norm(z, a["norm.weight"], a["norm.bias"], 1e-6)
        if "head.weight" in a:
            return tokens[0] @ a["head.weight"].T + a["head.bias"], tokens, trace
        return tokens[0], tokens, trace

    return forward


def check(path, numpy_vit, forward) -> None:
    image = np.random.default_rng(1).normal(size=(12, 12, 3))
    numpy_vit.assert_same_network(load_model(path, vit=THREE).eval(), image, forward)


def test_dino_gives_its_teacher(numpy_vit, tmp_path) -> None:
    w = backbone(rows=10)
    noise = {f"module.backbone.{k}": torch.zeros_like(v) for k, v in w.items()}
    head = {
        "head.mlp.0.weight": torch.zeros(3, D),
        "head.last_layer.weight_g": noise["module.backbone.cls_token"],
    }
    content = {
        "student": noise,
        "teacher": {f"backbone.{k}": v for k, v in w.items()} | head,
        "epoch": 3,
        "args": argparse.Namespace(arch="vit_small"),
    }
    torch.save(content, tmp_path / "a.pth")
    check(tmp_path / "a.pth", numpy_vit, reference(w, numpy_vit))
    weights = read_weights(tmp_path / "a.pth", num_heads=3)
    assert (weights.layout, weights.rule) == ("dino", "dino")


@pytest.mark.parametrize("chunked", [False, True])
def test_dinov2_gives_its_backbone(numpy_vit, tmp_path, chunked) -> None:
    scales = ("ls1.gamma", "ls2.gamma")
    w = backbone(rows=10, scales=scales)
    theirs = w | {"mask_token": torch.zeros(1, D)}
    if chunked:  # as FSDP trains: blocks.CHUNK.NUMBER, and a head beside
        chunk_of = {"0": "0", "1": "0", "2": "1"}
        theirs = {
            "backbone."
            + re.sub(
                r"^blocks\.(\d)", lambda m: f"blocks.{chunk_of[m[1]]}.{m[1]}", name
            ): v
            for name, v in theirs.items()
        } | {"dino_head.mlp.0.weight": torch.zeros(1), "ibot_head.b": torch.zeros(1)}
        theirs = {"teacher": theirs}
    torch.save(theirs, tmp_path / "a.pth")
    check(tmp_path / "a.pth", numpy_vit, reference(w, numpy_vit, scales=scales))
    assert read_weights(tmp_path / "a.pth", num_heads=3).rule == "dino"


def test_dinov2_with_registers_puts_them_in_after_the_positions(
    numpy_vit, tmp_path
) -> None:
    scales = ("ls1.gamma", "ls2.gamma")
    w = backbone(rows=10, scales=scales)
    registers = torch.randn(1, 4, D, dtype=torch.float64)
    beside = {"mask_token": torch.zeros(1, D), "register_tokens": registers}
    torch.save(w | beside, tmp_path / "a.pth")
    check(
        tmp_path / "a.pth",
        numpy_vit,
        reference(w, numpy_vit, scales=scales, registers=registers),
    )
    assert read_weights(tmp_path / "a.pth", num_heads=3).rule == "bicubic-antialias"


def test_deit_3_has_no_position_for_its_class_token(numpy_vit, tmp_path) -> None:
    scales = ("gamma_1", "gamma_2")
    w = backbone(rows=9, scales=scales)
    w["head.weight"] = torch.randn(7, D, dtype=torch.float64)
    w["head.bias"] = torch.randn(7, dtype=torch.float64)
    torch.save({"model": w}, tmp_path / "a.pth")
    forward = reference(w, numpy_vit, scales=scales, class_position=False)
    check(tmp_path / "a.pth", numpy_vit, forward)
    assert read_weights(tmp_path / "a.pth", num_heads=3).layout == "deit"


def test_a_masked_autoencoder_loses_its_decoder(numpy_vit, tmp_path) -> None:
    w = backbone(rows=10)
    decoder = {
        "mask_token": torch.zeros(1, 1, 8),
        "decoder_pos_embed": torch.zeros(1, 10, 8),
        "decoder_embed.weight": torch.zeros(8, D),
        "decoder_blocks.0.norm1.weight": torch.zeros(8),
    }
    torch.save({"model": w | decoder}, tmp_path / "a.pth")
    check(tmp_path / "a.pth", numpy_vit, reference(w, numpy_vit))
    weights = read_weights(tmp_path / "a.pth", num_heads=3)
    assert (weights.layout, weights.rule) == ("mae", "bicubic")


def test_a_fine_tuned_masked_autoencoder_averages_then_normalizes(
    numpy_vit, tmp_path
) -> None:
    w = backbone(rows=10)
    w["fc_norm.weight"], w["fc_norm.bias"] = w.pop("norm.weight"), w.pop("norm.bias")
    w["head.weight"] = torch.randn(7, D, dtype=torch.float64)
    w["head.bias"] = torch.randn(7, dtype=torch.float64)
    torch.save({"model": w}, tmp_path / "a.pth")
    a = {name: value.numpy() for name, value in w.items()}
    whole = reference(w, numpy_vit, normalized=False)

    def forward(image):
        _, tokens, trace = whole(image)
        norm = a["fc_norm.weight"], a["fc_norm.bias"]
        y = numpy_vit.layer_norm(tokens[1:].mean(axis=0), *norm, 1e-6)
        return y @ a["head.weight"].T + a["head.bias"], tokens, trace

    check(tmp_path / "a.pth", numpy_vit, forward)
    assert read_weights(tmp_path / "a.pth", num_heads=3).rule == "bicubic"


@pytest.mark.parametrize("registers", [None, torch.ones(1, 4, D).double() / 3])
def test_the_gated_mlps_of_the_giant_are_read(numpy_vit, tmp_path, registers) -> None:
    scales = ("ls1.gamma", "ls2.gamma")
    w = backbone(rows=10, scales=scales)
    theirs = {"mask_token": torch.zeros(1, D)} | w
    for i in range(DEPTH):  # 2 D hidden numbers, half of them gates
        for leaf in ("weight", "bias"):
            theirs[f"blocks.{i}.mlp.w12.{leaf}"] = w[f"blocks.{i}.mlp.fc1.{leaf}"]
            theirs[f"blocks.{i}.mlp.w3.{leaf}"] = w[f"blocks.{i}.mlp.fc2.{leaf}"]
            del (
                theirs[f"blocks.{i}.mlp.fc1.{leaf}"],
                theirs[f"blocks.{i}.mlp.fc2.{leaf}"],
            )
        narrow = w[f"blocks.{i}.mlp.fc2.weight"][:, :D].contiguous()
        w[f"blocks.{i}.mlp.fc2.weight"] = theirs[f"blocks.{i}.mlp.w3.weight"] = narrow
    if registers is not None:
        theirs["register_tokens"] = registers
    torch.save(theirs, tmp_path / "a.pth")

    def swiglu(x):
        gate, value = np.split(x, 2, axis=-1)
        return gate / (1 + np.exp(-gate)) * value

    numpy_vit.gelu = swiglu
    forward = reference(w, numpy_vit, scales=scales, registers=registers)
    check(tmp_path / "a.pth", numpy_vit, forward)


@pytest.mark.parametrize(
    ("arch", "width", "depth", "heads", "parameters"),
    [
        ("vits14", 384, 12, 6, 22_056_576),
        ("vitb14", 768, 12, 12, 86_580_480),
        ("vitl14", 1024, 24, 16, 304_368_640),
        ("vitg14", 1536, 40, 24, 1_136_480_768),
    ],
)
@pytest.mark.parametrize("registers", [0, 4])
def test_the_published_dinov2_files_are_known_by_their_shapes(
    arch, width, depth, heads, parameters, registers, tmp_path
) -> None:
    gated = arch == "vitg14"
    hidden = 2 * 4096 if gated else 4 * width
    first, second = ("w12", "w3") if gated else ("fc1", "fc2")
    shapes = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 37 * 37 + 1, width),  # images of 518 pixels
        "mask_token": (1, width),
        "patch_embed.proj.weight": (width, 3, 14, 14),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    if registers:
        shapes["register_tokens"] = (1, registers, width)
    for i in range(depth):
        dense = {
            "attn.qkv": (3 * width, width),
            "attn.proj": (width, width),
            f"mlp.{first}": (hidden, width),
            f"mlp.{second}": (width, hidden // 2 if gated else hidden),
        }
        for name, shape in dense.items():
            shapes[f"blocks.{i}.{name}.weight"] = shape
            shapes[f"blocks.{i}.{name}.bias"] = shape[:1]
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"):
            shapes[f"blocks.{i}.{name}"] = (width,)
        shapes |= {f"blocks.{i}.ls{n}.gamma": (width,) for n in (1, 2)}
    state = {k: torch.empty(shape, device="meta") for k, shape in shapes.items()}
    weights = weights_in(RawFile(path=tmp_path / arch, state=state, config={}))
    a = weights.architecture
    assert (a.image_size, a.depth, a.num_heads) == ((518, 518), depth, heads)
    with torch.device("meta"):
        model = VisionTransformer(a)
    rows = -1 + (registers - 1 if registers else 0)  # no mask; then no class position
    assert sum(p.numel() for p in model.parameters()) == parameters + rows * width
