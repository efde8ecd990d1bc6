"""Against timm and torchvision, which run in an environment of their own.

Skipped where ``make peers`` has not made it.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import torch

from vit_dementia.config import VitConfig
from vit_dementia.errors import CheckpointError
from vit_dementia.models.positions import resize_positions
from vit_dementia.models.weights import load_model, read_weights
from vit_dementia.models.weights.adapt import resample_kernel
from vit_dementia.models.weights.reading import weights_in
from vit_dementia.models.weights.record import RawFile, Weights
from vit_dementia.models.weights.saving import save_weights

HERE = Path(__file__).parent
PYTHON = HERE.parents[3] / ".venv-peers" / "bin" / "python"
pytestmark = [
    pytest.mark.skipif(not PYTHON.exists(), reason="needs make peers"),
    pytest.mark.slow,
]
CLOSE = {"rtol": 1e-9, "atol": 1e-9}
CLASSES = ("a", "b", "c", "d", "e")
THREE = VitConfig(num_heads=3)
TIMM = (
    "plain",
    "registers",
    "registers with positions",
    "qk-norm",
    "layer scale",
    "mean then norm",
    "norm then mean",
    "map",
    "no positions",
    "no bias",
    "tanh",
    "gray",
    "features",
    "distilled",
)


def run(script: str, folder: Path) -> None:
    done = subprocess.run(
        [PYTHON, HERE / "peers" / script, folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    run("make.py", folder)
    return folder


def load(path: Path):
    return torch.load(path, weights_only=True)


def assert_equal(model, reference) -> None:
    model = model.double().eval()
    images = reference["images"].requires_grad_()
    z, blocks = model.embed(images), []
    for block in model.blocks:
        z = block(z)
        blocks.append(z)
    torch.testing.assert_close(model(images), reference["logits"], **CLOSE)
    torch.testing.assert_close(torch.stack(blocks), reference["blocks"], **CLOSE)
    maps = torch.stack(model.attention_weights(images))
    torch.testing.assert_close(maps, reference["maps"], **CLOSE)
    tokens = model.forward_features(images)
    torch.testing.assert_close(tokens, reference["tokens"], **CLOSE)
    (gradient,) = torch.autograd.grad(model(images).square().sum(), images)
    torch.testing.assert_close(gradient, reference["gradient"], **CLOSE)
    single = model.float()(images.detach().float())
    torch.testing.assert_close(single, reference["single"], rtol=3e-5, atol=3e-5)


@pytest.mark.parametrize("name", TIMM)
def test_timms_networks_are_ours(made, name) -> None:
    folder = made / f"timm {name}"
    reference = load(folder / "reference.pt")
    if name == "features":  # timm then still gives the pooled class token
        assert read_weights(folder).architecture.num_classes == 0
    assert_equal(load_model(folder), reference)


def test_timms_hybrid_is_the_papers_but_for_its_eps(made) -> None:
    """timm adds 1e-8 to the variance of a kernel, the paper's code 1e-5 to its root."""
    out = load(made / "hybrid" / "out.pt")
    model = load_model(made / "hybrid" / "model.pth", vit=THREE).eval()
    assert model.architecture.resnet == (1, 2)
    difference = (model(out["images"]) - out["logits"]).abs().max()
    assert 1e-9 < difference < 2e-2 * out["logits"].abs().max()


def test_a_published_variant_opens_and_is_resized_as_timm_does(made) -> None:
    path = made / "vit_tiny" / "weights.safetensors"
    out = load(made / "vit_tiny" / "out.pt")
    close = {"rtol": 3e-5, "atol": 3e-5}
    model = load_model(path).eval()
    torch.testing.assert_close(model(out["images"]), out["logits"], **close)
    resized = load(made / "vit_tiny" / "resized.pt")
    ours = load_model(path, image_size=(208, 176)).eval()
    torch.testing.assert_close(ours.pos_embed, resized["positions"], rtol=0, atol=3e-6)
    torch.testing.assert_close(ours(resized["images"]), resized["logits"], **close)
    kernel = resample_kernel(model.patch_embed.proj.weight, (8, 8))
    torch.testing.assert_close(kernel, resized["kernel"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["plain", "pre-logits"])
def test_torchvisions_networks_are_ours(made, name) -> None:
    folder = made / f"torchvision {name}"
    reference = load(folder / "reference.pt")
    for file in ("model.pth", "old.pth", "bare.pth"):
        if (folder / file).exists():
            model = load_model(folder / file, classes=CLASSES, vit=THREE)
            assert_equal(model, reference)
    state = read_weights(folder / "model.pth", classes=CLASSES, num_heads=3).state
    wider = resize_positions(
        state["pos_embed"], (2, 2), (4, 4), num_prefix=1, rule="bicubic-corners"
    )
    expected = load(folder / "wider.pt")["positions"]
    torch.testing.assert_close(wider, expected, **CLOSE)


OURS = {
    "timm plain": {},
    "timm registers": {"num_registers": 4, "position_prefix": False},
    "timm layer scale": {"layer_scale": 0.1, "qk_norm": True, "qkv_bias": False},
    "timm mean": {"pooling": "mean", "class_token": False},
    "timm mean then norm": {"pooling": "mean", "fc_norm": True},
    "timm mean with token": {"pooling": "mean"},
    "timm map": {"pooling": "map", "mlp_dim": 96},  # timm's pooling widens by four
    "timm tanh, gray": {"activation": "gelu_tanh", "channels": 1},
    "timm gated": {"activation": "swiglu", "layer_scale": 0.1},
    "timm gated with registers": {
        "activation": "swiglu",
        "layer_scale": 0.1,
        "num_registers": 4,
        "position_prefix": False,
    },
    "timm sincos": {"positions": "sincos"},
    "torchvision": {"image_size": (32, 32)},
}


def test_timm_and_torchvision_open_what_we_write(small, tmp_path) -> None:
    expected = {}
    for name, settings in OURS.items():
        model = small(**settings)
        a = model.architecture
        weights = Weights(
            state=model.state_dict(),
            architecture=a,
            classes=CLASSES,
            mean=(0.5,) * a.channels,
            std=(0.5,) * a.channels,
            layout="native",
            rule="bicubic-antialias",
        )
        folder = tmp_path / name
        save_weights(weights, folder, name.split()[0])
        images = torch.randn(2, a.channels, *a.image_size, dtype=torch.float64)
        torch.save(images, folder / "images.pt")
        expected[name] = model(images)
        again = load_model(folder if "timm" in name else folder / "model.pth").eval()
        assert torch.equal(again(images), expected[name]), name
    run("open.py", tmp_path)
    for name, logits in expected.items():
        theirs = load(tmp_path / name / "theirs.pt")
        torch.testing.assert_close(theirs, logits, **CLOSE, msg=name)


GELUS = {
    "GELU(approximate='none')": "gelu",
    "GELU()": "gelu",
    "GELUTanh()": "gelu_tanh",
    "GELU(approximate='tanh')": "gelu_tanh",
    "SiLU()": "swiglu",
}
POOLING = {"token": "cls", "avg": "mean", "map": "map"}


def test_every_network_of_timm_is_described_rightly_or_refused(tmp_path) -> None:
    run("list.py", tmp_path)
    refused = []
    for name, theirs in json.loads((tmp_path / "list.json").read_text()).items():
        shapes = theirs["shapes"].items()
        state = {k: torch.empty(shape, device="meta") for k, shape in shapes}
        config = {"architecture": name, "global_pool": theirs["global_pool"]}
        raw = RawFile(path=tmp_path / name, state=state, config=config)
        try:
            ours = weights_in(raw).architecture
        except CheckpointError:
            refused.append(name)
            continue
        assert theirs["is_plain"], name
        found = (ours.num_heads, ours.layer_norm_eps, ours.activation, ours.pooling)
        activation, pooling = (
            GELUS[theirs["activation"]],
            POOLING[theirs["global_pool"]],
        )
        assert found == (theirs["num_heads"], theirs["eps"], activation, pooling), name
    assert len(refused) < 70, refused
    kinds = r"clip|radio|aimv2|beit3|_xp_|_rpn_|18x2|resnet|mci|intern|eva_|test_vit"
    others = [n for n in refused if not re.search(kinds + r"|_[dp]\w+_patch16_reg1", n)]
    assert not others
