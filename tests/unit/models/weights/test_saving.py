"""Every layout reopens bit for bit; what it cannot express is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vit_dementia.errors import CheckpointError
from vit_dementia.models.weights import load_model, read_weights
from vit_dementia.models.weights.record import Weights
from vit_dementia.models.weights.saving import FORMATS, parity, save_weights, weights_of

CLASSES = ("a", "b", "c", "d", "e")
NEEDS = {
    "native": {},
    "timm": {},
    "huggingface": {},
    "torchvision": {"image_size": (32, 32)},
    "historical": {"layer_norm_eps": 1e-5},
    "google": {"activation": "gelu_tanh"},
}


def weights_like(model, **settings) -> Weights:
    known = {
        "state": model.state_dict(),
        "architecture": model.architecture,
        "classes": CLASSES,
        "mean": (0.5,) * 3,
        "std": (0.5,) * 3,
        "layout": "native",
        "rule": "bicubic",
    }
    return Weights(**known | settings)


@pytest.mark.parametrize("form", FORMATS)
def test_every_layout_reopens_to_the_same_network(small, tmp_path, form):
    model = small(**NEEDS[form])
    images = torch.randn(2, 3, *model.architecture.image_size, dtype=torch.float64)
    path = save_weights(weights_like(model), tmp_path / "out", form)
    assert path.parent == tmp_path / "out"
    again = read_weights(path)
    assert again.classes == CLASSES
    assert again.state.keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert torch.equal(again.state[name], value), name
    if form == "historical" or form == "torchvision":
        torch.load(path, weights_only=True)
    assert torch.equal(load_model(path).eval()(images), model(images))
    assert again.layout == form
    assert parity(weights_like(model), path) == 0
    other = weights_like(small(seed=1, **NEEDS[form]))
    assert parity(other, path) > 1e-3


@pytest.mark.parametrize("form", FORMATS)
def test_a_gray_rectangle_of_another_grid_reopens(small, tmp_path, form) -> None:
    model = small(**NEEDS[form] | {"image_size": (16, 64), "channels": 1})
    weights = weights_like(model, mean=(0.5,), std=(0.25,))
    if form == "torchvision":
        needed = r"images is 'oblong'.*channels is 1, torchvision knows only 3"
        with pytest.raises(CheckpointError, match=needed):
            save_weights(weights, tmp_path, form)
        return
    path = save_weights(weights, tmp_path, form, channels=1)
    image = torch.randn(1, 1, 16, 64, dtype=torch.float64)
    assert torch.equal(load_model(path).eval()(image), model(image))


def test_parity_knows_that_gray_was_written_as_three(small, tmp_path) -> None:
    weights = weights_like(small(channels=1), mean=(0.5,), std=(0.25,))
    path = save_weights(weights, tmp_path, "huggingface")
    assert read_weights(path).architecture.channels == 3
    assert parity(weights, path) < 1e-12


FEATURES = {
    "gelu_tanh": {"activation": "gelu_tanh"},
    "eps": {"layer_norm_eps": 1e-7},
    "layer_scale": {"layer_scale": 0.1},
    "registers": {"num_registers": 1},
    "mean": {"pooling": "mean"},
    "locality": {"locality": True},
    "distilled": {"distilled": True},
    "volume": {"image_size": (16, 16, 16), "patch_size": (16, 16, 16)},
    "stem": {"stem": "shifted"},
    "hybrid": {"stem": "resnet", "resnet": (1, 1), "patch_size": (2, 2)},
    "gated": {"activation": "swiglu"},
    "gated and scaled": {"activation": "swiglu", "layer_scale": 0.1},
    "tanh": {"logits_tanh": True},
}
EXPRESSED = {
    "native": set(FEATURES),
    "timm": {"gelu_tanh", "layer_scale", "registers", "mean", "gated and scaled"},
    "huggingface": {"gelu_tanh", "eps"},
    "torchvision": set(),
    "historical": set(),
    "google": {"gelu_tanh"},
}


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("form", FORMATS)
def test_what_a_layout_cannot_express_is_refused_by_name(
    small, tmp_path, form, feature
) -> None:
    settings = NEEDS[form] | FEATURES[feature]
    weights = weights_like(small(**settings))
    if feature in EXPRESSED[form]:
        save_weights(weights, tmp_path / "x", form)
        return
    with pytest.raises(CheckpointError, match="cannot express this network") as caught:
        save_weights(weights, tmp_path / "x", form)
    assert len(caught.value.faults) == 1
    assert not (tmp_path / "x").exists()


def test_outputs_without_names_and_unknown_formats_are_refused(small, tmp_path) -> None:
    weights = weights_like(small(image_size=(32, 32)), classes=None)
    for form in ("native", "huggingface", "torchvision"):
        with pytest.raises(CheckpointError, match="nobody says"):
            save_weights(weights, tmp_path / "x", form)
    assert not (tmp_path / "x").exists()
    with pytest.raises(CheckpointError, match="needs one of native, timm"):
        save_weights(weights, tmp_path, "caffe")


def test_features_without_a_head_are_saved_too(small, images, tmp_path) -> None:
    model = small(num_classes=0)
    weights = weights_like(model, classes=None)
    path = save_weights(weights, tmp_path, "timm")
    assert torch.equal(load_model(path).eval()(images), model(images))


def test_trained_weights_take_the_place_of_those_read(small) -> None:
    old, new = small(), small(seed=5)
    changed = weights_of(new, weights_like(old))
    assert torch.equal(changed.state["norm.weight"], new.norm.weight)
    assert changed.classes == CLASSES


def test_google_writes_plain_arrays(small, tmp_path) -> None:
    model = small(activation="gelu_tanh")
    path = save_weights(weights_like(model), tmp_path, "google")
    with np.load(path, allow_pickle=False) as archive:
        kernel = archive["Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel"]
    np.testing.assert_array_equal(
        kernel, model.blocks[0].mlp.fc1.weight.detach().numpy().T
    )
