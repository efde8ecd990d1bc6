"""Against MONAI itself."""

from __future__ import annotations

import warnings

import pytest
import torch

from vit_dementia.config import VitConfig
from vit_dementia.errors import CheckpointError
from vit_dementia.models.weights import load_model


def monai_vit(**settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.networks.nets import ViT

    known = {
        "in_channels": 2,
        "img_size": (16, 16, 16),
        "patch_size": (8, 8, 8),
        "hidden_size": 24,
        "mlp_dim": 40,
        "num_layers": 3,
        "num_heads": 3,
        "classification": True,
        "num_classes": 5,
    }
    model = ViT(**known | settings).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return model


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"qkv_bias": True},
        {"post_activation": None},
        {"spatial_dims": 2, "img_size": (16, 16), "patch_size": (8, 8)},
    ],
)
def test_a_classifier_gives_the_same_network(settings, tmp_path) -> None:
    theirs = monai_vit(**settings)
    path = tmp_path / "a.pth"
    torch.save(theirs.state_dict(), path)
    ours = load_model(path, vit=VitConfig(num_heads=3)).eval()
    assert ours.architecture.layer_norm_eps == 1e-5
    sides = settings.get("img_size", (16, 16, 16))
    images = torch.randn(2, 2, *sides, dtype=torch.float64, requires_grad=True)
    close = {"rtol": 1e-9, "atol": 1e-9}
    logits, hidden = theirs(images)
    torch.testing.assert_close(ours(images), logits, **close)
    z = ours.embed(images)
    for block, expected in zip(ours.blocks, hidden, strict=True):
        z = block(z)
        torch.testing.assert_close(z, expected, **close)
    mine, their = (
        torch.autograd.grad(out.square().sum(), images)
        for out in (ours(images), logits)
    )
    torch.testing.assert_close(mine, their, **close)


def test_the_tanh_of_its_head_is_not_forgotten(tmp_path) -> None:
    torch.save(monai_vit().state_dict(), tmp_path / "a.pth")
    images = torch.randn(2, 2, 16, 16, 16, dtype=torch.float64)
    ours = load_model(tmp_path / "a.pth", vit=VitConfig(num_heads=3)).eval()
    assert ours.architecture.logits_tanh
    assert ours(images).abs().max() <= 1


def test_patches_cut_by_rearranging_are_refused(tmp_path) -> None:
    torch.save(monai_vit(proj_type="perceptron").state_dict(), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="needs proj_type 'conv'"):
        load_model(tmp_path / "a.pth", vit=VitConfig(num_heads=3))
