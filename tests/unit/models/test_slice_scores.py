"""Networks that score slices."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vit_dementia.errors import CheckpointError, ConfigError
from vit_dementia.models import create_model
from vit_dementia.models.slice_scores import Apart, telling, weigh_slices
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.models.weights import load_model, native
from vit_dementia.models.weights.reading import read_weights
from vit_dementia.models.weights.saving import save_weights


@pytest.fixture
def network() -> VisionTransformer:
    torch.manual_seed(0)
    network = create_model(
        num_classes=3, image_size=(8, 8), patch_size=4, embed_dim=8, depth=1,
        num_heads=2,
    )  # fmt: skip
    network.head.weight.data.normal_()
    return network.eval()


def _seen(network):
    images = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return images, network(images)


def test_a_network_begins_to_weigh_slices_all_alike_and_else_says_the_same(
    network,
) -> None:
    images, before = _seen(network)
    assert telling(network) is network
    weigh_slices(network, 6, torch.Generator().manual_seed(0))
    with torch.no_grad():
        rows = telling(network)(images)
    assert rows[:, :3].equal(before)
    assert (rows[:, 3] == 0).all()
    assert network(images).equal(before)


def test_the_score_is_that_of_the_paper(network) -> None:
    weigh_slices(network, 6, torch.Generator().manual_seed(0))
    network.slice_attention.score.weight.data.normal_()
    images, _ = _seen(network)
    with torch.no_grad():
        h = network.forward_features(images)[:, 0]  # the class token, normalized
        v, w = network.slice_attention.hidden, network.slice_attention.score.weight[0]
        a = torch.stack([w @ torch.tanh(v.weight @ h_k + v.bias) for h_k in h])  # Eq. 8
        torch.testing.assert_close(telling(network)(images)[:, 3], a)
        logits, scores = Apart(network)(images)
        torch.testing.assert_close(logits, network(images))
        torch.testing.assert_close(scores[:, 0], a)


def test_the_scores_come_back_with_the_weights_and_can_be_left_out(
    network, tmp_path
) -> None:
    weigh_slices(network, 6)
    network.slice_attention.score.weight.data.normal_()
    images, _ = _seen(network)
    native.save(network.state_dict(), network.architecture, "abc", tmp_path)
    again = load_model(tmp_path).eval()
    with torch.no_grad():
        assert telling(again)(images).equal(telling(network)(images))
        weigh_slices(again, 0)
        assert telling(again)(images).equal(network(images))
    assert "slice_attention.score.weight" not in again.state_dict()


@pytest.mark.parametrize(
    "form", ["timm", "huggingface", "torchvision", "google", "historical"]
)
def test_layouts_without_words_for_scores_refuse_them_by_name(
    network, tmp_path, form
) -> None:
    weigh_slices(network, 6)
    native.save(network.state_dict(), network.architecture, "abc", tmp_path)
    with pytest.raises(CheckpointError, match=f"slice_attention is 6, {form} knows"):
        save_weights(read_weights(tmp_path), tmp_path / "out", form)


def test_a_width_below_nothing_is_refused(network) -> None:
    with pytest.raises(ConfigError, match="slice_attention: found -1"):
        replace(network.architecture, slice_attention=-1)
