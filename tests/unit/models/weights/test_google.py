"""Random files of each generation against a NumPy forward pass of the formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vit_dementia.errors import CheckpointError
from vit_dementia.models.weights import load_model, read_weights
from vit_dementia.models.weights.google import from_google
from vit_dementia.models.weights.google_writing import to_google

D, HEADS, HIDDEN, DEPTH, CLASSES, PATCH, SIDE = 24, 3, 40, 2, 5, 4, 12


class Random:
    """Random weights, no two alike."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def __call__(self, *shape: int):
        return self.rng.normal(scale=0.4, size=shape)

    def dense(self, start: str, *shape: int, bias: tuple[int, ...]):
        return {f"{start}/kernel": self(*shape), f"{start}/bias": self(*bias)}

    def norm(self, start: str, *shape: int):
        return {f"{start}/scale": self(*shape), f"{start}/bias": self(*shape)}


def attention(make: Random, start: str):
    out = {}
    for part in ("query", "key", "value"):
        out |= make.dense(
            f"{start}/{part}", D, HEADS, D // HEADS, bias=(HEADS, D // HEADS)
        )
    return out | make.dense(f"{start}/out", HEADS, D // HEADS, D, bias=(D,))


def mlp(make: Random, start: str):
    return make.dense(f"{start}/Dense_0", D, HIDDEN, bias=(HIDDEN,)) | make.dense(
        f"{start}/Dense_1", HIDDEN, D, bias=(D,)
    )


def encoder(make: Random, numbers: tuple[int, int, int, int]):
    first, msa, second, dense = numbers
    out = {}
    for i in range(DEPTH):
        start = f"Transformer/encoderblock_{i}"
        out |= make.norm(f"{start}/LayerNorm_{first}", D)
        out |= attention(make, f"{start}/MultiHeadDotProductAttention_{msa}")
        out |= make.norm(f"{start}/LayerNorm_{second}", D)
        out |= mlp(make, f"{start}/MlpBlock_{dense}")
    return out | make.norm("Transformer/encoder_norm", D)


def published(numbers=(0, 1, 2, 3), *, token=True, pre_logits=False):
    make = Random()
    rows = (SIDE // PATCH) ** 2 + token
    w = encoder(make, numbers)
    w |= make.dense("embedding", PATCH, PATCH, 3, D, bias=(D,))
    w["Transformer/posembed_input/pos_embedding"] = make(1, rows, D)
    if token:
        w["cls"] = make(1, 1, D)
    if pre_logits:
        w |= make.dense("pre_logits", D, 7, bias=(7,))
    return w | make.dense("head", 7 if pre_logits else D, CLASSES, bias=(CLASSES,))


def big_vision(*, pooling: str):
    make = Random()
    w = encoder(make, (0, 0, 1, 0))
    w |= make.dense("embedding", PATCH, PATCH, 3, D, bias=(D,))
    w["pos_embedding"] = make(1, (SIDE // PATCH) ** 2, D)
    if pooling == "tok":
        w["cls"] = make(1, 1, D)
    if pooling == "map":
        w["MAPHead_0/probe"] = make(1, 1, D)
        w |= attention(make, "MAPHead_0/MultiHeadDotProductAttention_0")
        w |= make.norm("MAPHead_0/LayerNorm_0", D) | mlp(make, "MAPHead_0/MlpBlock_0")
    return w | make.dense("head", D, CLASSES, bias=(CLASSES,))


def pair(w, start: str, leaf: str = "kernel"):
    return w[f"{start}/{leaf}"], w[f"{start}/bias"]


def block_of(w, i: int, numbers, numpy_vit):
    first, msa, second, dense = numbers
    start = f"Transformer/encoderblock_{i}"
    a, m = f"{start}/MultiHeadDotProductAttention_{msa}", f"{start}/MlpBlock_{dense}"
    return numpy_vit.Block(
        norm1=pair(w, f"{start}/LayerNorm_{first}", "scale"),
        query=pair(w, f"{a}/query"),
        key=pair(w, f"{a}/key"),
        value=pair(w, f"{a}/value"),
        out=pair(w, f"{a}/out"),
        norm2=pair(w, f"{start}/LayerNorm_{second}", "scale"),
        fc1=pair(w, f"{m}/Dense_0"),
        fc2=pair(w, f"{m}/Dense_1"),
    )


def reference(w, numpy_vit, numbers=(0, 1, 2, 3), *, eps=1e-6, act=None, stem=None):
    act = act or numpy_vit.gelu_tanh
    blocks = [block_of(w, i, numbers, numpy_vit) for i in range(DEPTH)]
    is_big_vision = "pos_embedding" in w

    def forward(image):
        features = stem(w, image) if stem else image
        z = numpy_vit.patches(features, *pair(w, "embedding"))
        if is_big_vision:  # positions first, then the token
            z = z + w["pos_embedding"][0]
        if "cls" in w:
            z = np.concatenate([w["cls"][0], z])
        if not is_big_vision:
            z = z + w["Transformer/posembed_input/pos_embedding"][0]
        z, trace = numpy_vit.encode(z, blocks, eps, act)
        norm = pair(w, "Transformer/encoder_norm", "scale")
        tokens = numpy_vit.layer_norm(z, *norm, eps)
        if "MAPHead_0/probe" in w:
            y = map_head(w, tokens, numpy_vit, eps, act)
        else:
            y = tokens[0] if "cls" in w else tokens.mean(0)  # normalized, then averaged
        if "pre_logits/kernel" in w:
            kernel, bias = pair(w, "pre_logits")
            y = np.tanh(y @ kernel + bias)
        kernel, bias = pair(w, "head")
        return y @ kernel + bias, tokens, trace

    return forward


def map_head(w, tokens, numpy_vit, eps, act):
    a = "MAPHead_0/MultiHeadDotProductAttention_0"

    def project(x, part):
        kernel, bias = pair(w, f"{a}/{part}")
        return np.einsum("nd,dhc->nhc", x, kernel) + bias

    q, k = project(w["MAPHead_0/probe"][0], "query"), project(tokens, "key")
    y, _ = numpy_vit.attend(q, k, project(tokens, "value"), pair(w, f"{a}/out"))
    h = numpy_vit.layer_norm(y, *pair(w, "MAPHead_0/LayerNorm_0", "scale"), eps)
    (k1, b1), (k2, b2) = (pair(w, f"MAPHead_0/MlpBlock_0/Dense_{i}") for i in (0, 1))
    return (y + act(h @ k1 + b1) @ k2 + b2)[0]


def write(path, w, prefix: str = ""):
    np.savez(path, **{prefix + name: value for name, value in w.items()})
    return path


def an_image(side: int = SIDE):
    return np.random.default_rng(1).normal(size=(side, side, 3))


def scanned(w):
    out = {k: v for k, v in w.items() if "encoderblock_" not in k}
    first = "Transformer/encoderblock_0/"
    for name in [k for k in w if k.startswith(first)]:
        rest = name.removeprefix(first)
        out[f"Transformer/encoderblock/{rest}"] = np.stack(
            [w[f"Transformer/encoderblock_{i}/{rest}"] for i in range(DEPTH)]
        )
    return out


LINEN = (0, 0, 1, 0)
FILES = {
    "published": (published(), (0, 1, 2, 3), "", None),
    "published with pre-logits": (published(pre_logits=True), (0, 1, 2, 3), "", None),
    "training": (published(), (0, 1, 2, 3), "opt/target/", None),
    "linen": (published(LINEN), LINEN, "", None),
    "average": (published(LINEN, token=False), LINEN, "", None),
    "big_vision, average": (big_vision(pooling="gap"), LINEN, "params/", None),
    "big_vision, token": (big_vision(pooling="tok"), LINEN, "", None),
    "big_vision, map": (big_vision(pooling="map"), LINEN, "params/img/", None),
    "big_vision, scanned": (big_vision(pooling="map"), LINEN, "params/", scanned),
}


@pytest.mark.parametrize("name", FILES)
def test_each_generation_gives_the_formulas_network(name, numpy_vit, tmp_path) -> None:
    w, numbers, prefix, change = FILES[name]
    path = write(tmp_path / "a.npz", change(w) if change else w, prefix)
    model = load_model(path).eval()
    numpy_vit.assert_same_network(model, an_image(), reference(w, numpy_vit, numbers))
    weights = read_weights(path)
    assert weights.layout == "google"
    assert weights.rule == "bilinear-corners"
    assert weights.mean == weights.std == (0.5, 0.5, 0.5)


def same(x, kernel: int, stride: int, value: float = 0.0):
    """Pad [h, w, c] so that ceil(side / stride) places fit; odd pixels at the end."""
    pads = []
    for side in x.shape[:2]:
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads.append((total // 2, total - total // 2))
    return np.pad(x, [*pads, (0, 0)], constant_values=value)


def windows(x, kernel: int, stride: int):
    view = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(0, 1))
    return view[::stride, ::stride]  # h w c k k


def std_conv(x, kernel, stride: int):
    mean = kernel.mean((0, 1, 2))
    standardized = (kernel - mean) / (kernel.std((0, 1, 2)) + 1e-5)
    k = kernel.shape[0]
    return np.einsum(
        "hwcij,ijco->hwo", windows(same(x, k, stride), k, stride), standardized
    )


def group_norm(x, scale, bias):
    groups = x.reshape(*x.shape[:2], 32, -1)
    mean = groups.mean((0, 1, 3), keepdims=True)
    variance = ((groups - mean) ** 2).mean((0, 1, 3), keepdims=True)
    normal = ((groups - mean) / np.sqrt(variance + 1e-6)).reshape(x.shape)
    return normal * scale.reshape(-1) + bias.reshape(-1)


def relu(x):
    return x * (x.real > 0)


def max_pool(x):
    w = windows(same(x, 3, 2, -1e30), 3, 2)
    flat = w.reshape(*w.shape[:3], 9)
    best = flat.real.argmax(-1)[..., None]
    return np.take_along_axis(flat, best, -1)[..., 0]


def resnet(w, image):
    x = relu(group_norm(std_conv(image, w["conv_root/kernel"], 2), *gn(w, "gn_root")))
    x = max_pool(x)
    stage = 1
    while f"block{stage}/unit1/conv1/kernel" in w:
        unit = 1
        while f"block{stage}/unit{unit}/conv1/kernel" in w:
            start = f"block{stage}/unit{unit}"
            stride = 2 if stage > 1 and unit == 1 else 1
            y, around = x, x
            for i, s in ((1, 1), (2, stride), (3, 1)):
                y = std_conv(y, w[f"{start}/conv{i}/kernel"], s)
                y = group_norm(y, *gn(w, f"{start}/gn{i}"))
                y = relu(y) if i < 3 else y
            if f"{start}/conv_proj/kernel" in w:
                around = std_conv(x, w[f"{start}/conv_proj/kernel"], stride)
                around = group_norm(around, *gn(w, f"{start}/gn_proj"))
            x = relu(y + around)
            unit += 1
        stage += 1
    return x


def gn(w, start: str):
    return w[f"{start}/scale"], w[f"{start}/bias"]


def hybrid(stages: tuple[int, ...], patch: int, places: int):
    make = Random()
    w = published()
    width = 64
    w["conv_root/kernel"] = make(7, 7, 3, 64)
    w |= make.norm("gn_root", 1, 1, 1, 64)
    for stage, units in enumerate(stages, 1):
        out = 256 * 2 ** (stage - 1)
        for unit in range(1, units + 1):
            start, middle = f"block{stage}/unit{unit}", out // 4
            shapes = (
                (1, 1, width, middle),
                (3, 3, middle, middle),
                (1, 1, middle, out),
            )
            for i, shape in enumerate(shapes, 1):
                w[f"{start}/conv{i}/kernel"] = make(*shape)
                w |= make.norm(f"{start}/gn{i}", 1, 1, 1, shape[3])
            if unit == 1:
                w[f"{start}/conv_proj/kernel"] = make(1, 1, width, out)
                w |= make.norm(f"{start}/gn_proj", 1, 1, 1, out)
            width = out
    w |= make.dense("embedding", patch, patch, width, D, bias=(D,))
    w["Transformer/posembed_input/pos_embedding"] = make(1, places**2 + 1, D)
    return w


@pytest.mark.parametrize(
    ("stages", "patch", "side"), [((2, 1), 1, 24), ((), 2, 24), ((1, 1, 1), 1, 32)]
)
def test_hybrids_give_the_formulas_network(
    stages, patch, side, numpy_vit, tmp_path
) -> None:
    places = side // (patch * 4 * 2 ** max(len(stages) - 1, 0))
    w = hybrid(stages, patch, places)
    model = load_model(write(tmp_path / "a.npz", w)).eval()
    assert model.architecture.resnet == stages
    numpy_vit.assert_same_network(
        model, an_image(side), reference(w, numpy_vit, stem=resnet)
    )


@pytest.mark.parametrize(
    "trap", ["exact gelu", "eps", "k for q", "mean then norm", "class row last"]
)
def test_each_trap_would_be_seen(trap, numpy_vit, tmp_path) -> None:
    w = published(token=trap != "mean then norm")
    model = load_model(write(tmp_path / "a.npz", w)).eval()
    planted = dict(w)
    settings = {}
    if trap == "exact gelu":
        settings["act"] = numpy_vit.gelu
    elif trap == "eps":
        settings["eps"] = 1e-5
    elif trap == "k for q":
        start = "Transformer/encoderblock_1/MultiHeadDotProductAttention_1"
        for leaf in ("kernel", "bias"):
            for old, new in (("query", "key"), ("key", "query")):
                planted[f"{start}/{old}/{leaf}"] = w[f"{start}/{new}/{leaf}"]
    elif trap == "class row last":
        name = "Transformer/posembed_input/pos_embedding"
        planted[name] = np.roll(w[name], -1, axis=1)
    forward = reference(planted, numpy_vit, **settings)
    if trap == "mean then norm":
        logits = mean_then_norm(w, forward, numpy_vit)
    else:
        logits = forward(an_image())[0]
    x = torch.from_numpy(np.moveaxis(an_image(), -1, 0).copy())[None]
    assert np.abs(model(x)[0].detach().numpy() - logits).max() > 1e-6


def mean_then_norm(w, forward, numpy_vit):
    _, _, trace = forward(an_image())
    norm = pair(w, "Transformer/encoder_norm", "scale")
    kernel, bias = pair(w, "head")
    y = numpy_vit.layer_norm(trace.blocks[-1].mean(0), *norm, 1e-6)
    return y @ kernel + bias


def test_fixed_positions_of_big_vision_are_made_anew(tmp_path) -> None:
    w = big_vision(pooling="gap")
    del w["pos_embedding"]
    path = write(tmp_path / "a.npz", w)
    with pytest.raises(CheckpointError, match="pos_embed is missing"):
        load_model(path)
    table = load_model(path, source_image_size=(SIDE, SIDE)).pos_embed[0].detach()
    waves = D // 4
    omega = 1 / 10_000 ** (np.arange(waves) / (waves - 1))
    y, x = np.mgrid[:3, :3]
    expected = np.concatenate(
        [f(p.reshape(-1, 1) * omega) for p in (x, y) for f in (np.sin, np.cos)], 1
    )
    np.testing.assert_allclose(table.numpy(), expected, atol=1e-12)


def test_bfloat16_arrays_are_understood(tmp_path) -> None:
    w = {k: v.astype(np.float32) for k, v in published().items()}
    raw = {
        k: (v.view(np.uint32) >> 16).astype(np.uint16).view("V2") for k, v in w.items()
    }
    path = write(tmp_path / "a.npz", raw)
    head = load_model(path).head.weight
    assert head.dtype == torch.float32
    np.testing.assert_allclose(
        head.detach().numpy(), w["head/kernel"].T, rtol=1 / 128, atol=0
    )


def test_names_there_and_back_are_bit_for_bit_the_same(small) -> None:
    for settings in (
        {},
        {"pre_logits": 7},
        {"pooling": "mean", "class_token": False},
    ):
        model = small(activation="gelu_tanh", **settings)
        state = model.state_dict()
        back = from_google(to_google(state, model.architecture))
        assert back.keys() == state.keys()
        assert all(torch.equal(back[name], state[name]) for name in state)
    with pytest.raises(
        CheckpointError, match="activation is 'gelu', google knows only"
    ):
        to_google(state, small().architecture)
    with pytest.raises(CheckpointError, match="takes in the class token"):
        to_google(state, small(activation="gelu_tanh", pooling="mean").architecture)


def test_what_is_written_is_the_published_layout(small) -> None:
    written = to_google(
        small(activation="gelu_tanh").state_dict(),
        small(activation="gelu_tanh").architecture,
    )
    assert written.keys() == {
        name.replace("encoderblock_1", f"encoderblock_{i}")
        for name in published()
        for i in range(3)
    }
    start = "Transformer/encoderblock_0/MultiHeadDotProductAttention_1/"
    assert written[f"{start}query/kernel"].shape == (24, 3, 8)
    assert written[f"{start}out/kernel"].shape == (3, 8, 24)
    assert written["embedding/kernel"].shape == (16, 16, 3, 24)
