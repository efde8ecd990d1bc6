"""A network whose reason is known tells which measures of a map work."""

import numpy as np
import pytest
import torch

from vit_dementia.explanation.faithfulness import (
    ORDERS,
    Faithfulness,
    measure,
    without_training,
)
from vit_dementia.explanation.methods import explain
from vit_dementia.explanation.outside import share_outside
from vit_dementia.explanation.truth import auroc_of_place, hits, mass_inside
from vit_dementia.models.create import create_model
from vit_dementia.models.vit import VisionTransformer

SIDE, PATCH = 64, 8
PLACE = 27  # the patch that alone decides, of 64


def picture(rows: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 0.5 + 0.1 * torch.randn(rows, 1, SIDE, SIDE, generator=generator)


class Only(VisionTransformer):
    """A network whose logit of class 1 is the brightness of one patch."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        row, column = divmod(PLACE, SIDE // PATCH)
        seen = images[:, 0, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        value = 4 * seen.mean(dim=(1, 2))
        return torch.stack([-value, value], dim=1)


def only() -> VisionTransformer:
    whole = create_model(
        "ViT-Ti/8", num_classes=2, image_size=(SIDE, SIDE), channels=1, depth=1
    )
    return Only(whole.architecture).eval()


def right(network: VisionTransformer, shown: torch.Tensor) -> torch.Tensor:
    found = torch.rand(len(shown), 64, generator=torch.Generator().manual_seed(2)) / 100
    if isinstance(network, Only) and not getattr(network, "fresh", False):
        found[:, PLACE] = 1.0
    return found


@pytest.mark.parametrize("rows", [1, 3])
def test_the_right_place_beats_every_random_order(rows) -> None:
    network = only()
    _, found = measure(network, picture(rows), 1, right, black=0.0)
    assert found.insertion > found.deletion
    assert len(found.random) == ORDERS
    # A random order has the one patch among its first eighth now and then.
    assert all(found.gain >= one for one in found.random)
    assert sum(found.gain > one for one in found.random) > ORDERS / 2
    assert found.sensitivity > (0.9 if rows == 1 else 0.5)
    assert found.stability == pytest.approx(1.0)


def test_the_wrong_place_is_called_not_faithful() -> None:
    def wrong(_network: VisionTransformer, shown: torch.Tensor) -> torch.Tensor:
        return -right(only(), shown)

    _, found = measure(only(), picture(), 1, wrong, black=0.0)
    assert not found.is_faithful
    assert any("random orders" in reason for reason in found.reasons)


def test_a_map_that_needs_no_training_is_called_not_faithful() -> None:
    def center(_network: VisionTransformer, shown: torch.Tensor) -> torch.Tensor:
        return torch.linspace(0, 1, 64).repeat(len(shown), 1)

    _, found = measure(only(), picture(), 1, center, black=0.0)
    assert found.randomized == pytest.approx(1.0)
    assert any("without training" in reason for reason in found.reasons)


def test_a_map_that_noise_changes_is_called_not_faithful() -> None:
    def fickle(_network: VisionTransformer, shown: torch.Tensor) -> torch.Tensor:
        seed = int(shown.double().sum().item() * 1e6) % 2**31
        return torch.rand(len(shown), 64, generator=torch.Generator().manual_seed(seed))

    _, found = measure(only(), picture(), 1, fickle, black=0.0)
    assert any("noise" in reason for reason in found.reasons)


def test_the_same_seed_gives_the_same_numbers() -> None:
    network = create_model(
        "ViT-Ti/8", num_classes=2, image_size=(SIDE, SIDE), channels=1, depth=1
    ).eval()
    torch.nn.init.normal_(network.head.weight, std=0.3)

    def relevance(some: VisionTransformer, shown: torch.Tensor) -> torch.Tensor:
        labels = torch.ones(len(shown), dtype=torch.long)
        return explain(some, shown, labels, method="relevance", black=0.0)

    one, other = (
        measure(network, picture(), 1, relevance, black=0.0)[1] for _ in range(2)
    )
    assert one == other
    assert isinstance(one, Faithfulness)


def test_fresh_weights_are_others_and_leave_the_old_ones_alone() -> None:
    network = create_model(
        "ViT-Ti/8", num_classes=2, image_size=(SIDE, SIDE), channels=1, depth=1
    ).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fresh = without_training(network)
    assert all(v.equal(before[n]) for n, v in network.state_dict().items())
    assert not fresh.blocks[0].attn.qkv.weight.equal(network.blocks[0].attn.qkv.weight)
    assert not fresh.training


def test_a_random_map_finds_a_place_no_better_than_chance() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((32, 32), bool)
    mask[8:16, 8:16] = True
    head = np.ones((32, 32), bool)
    chance = [auroc_of_place(rng.random((32, 32)), mask, head) for _ in range(200)]
    assert np.mean(chance) == pytest.approx(0.5, abs=0.01)
    masses = [mass_inside(rng.random((32, 32)), mask) for _ in range(200)]
    assert np.mean(masses) == pytest.approx(64 / 1024, rel=0.05)
    share = np.mean([hits(rng.random((32, 32)), mask) for _ in range(2000)])
    assert share == pytest.approx(64 / 1024, rel=0.3)


def test_a_place_that_covers_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="part of the head"):
        auroc_of_place(np.ones((2, 2)), np.zeros((2, 2), bool), np.ones((2, 2), bool))


def test_what_lies_beside_the_head_counts_as_outside_in_every_dimension() -> None:
    for sides in ((8, 8), (8, 8, 8)):
        head = np.zeros(sides, bool)
        head[(slice(0, 5),) * len(sides)] = True  # touches the second patch of four
        relevance = np.ones((4,) * len(sides))
        touched = 3 ** len(sides)
        assert share_outside(relevance, head) == pytest.approx(
            1 - touched / 4 ** len(sides)
        )
        assert share_outside(-relevance, head) == 0.0
