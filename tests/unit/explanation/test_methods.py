"""Every method against what its paper says, written a second time in NumPy."""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vit_dementia.errors import ConfigError
from vit_dementia.explanation import attention, gradients
from vit_dementia.explanation.methods import Method, by_patch, explain
from vit_dementia.explanation.recording import record
from vit_dementia.models.create import create_model
from vit_dementia.models.vit import VisionTransformer

SIZE, BLACK = (48, 32), -2.0
VISIBLE = (0, 2, 3)
KINDS = (
    {},
    {"pooling": "mean"},
    {"pooling": "map"},
    {"registers": 2},
    {"locality": True},
    {"qk_norm": True},
    {"layer_scale": 0.5},
)


def network(seed: int = 0, **kind: object) -> VisionTransformer:
    torch.manual_seed(seed)
    made = create_model(
        "ViT-Ti/16", num_classes=3, image_size=SIZE, channels=1, depth=3, **kind
    ).eval()
    torch.nn.init.normal_(made.head.weight, std=0.3)
    return made


def images(number: int = 2) -> torch.Tensor:
    return torch.randn(number, 1, *SIZE, generator=torch.Generator().manual_seed(1))


LABELS = torch.tensor([0, 2])


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("visible", [None, VISIBLE])
def test_what_is_recorded_is_what_the_network_does(kind, visible) -> None:
    seeing = network(**kind).seeing(visible)
    seen = record(seeing, images())
    torch.testing.assert_close(seen.logits, seeing(images()))
    for ours, theirs in zip(
        seen.attention, seeing.attention_weights(images()), strict=True
    ):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(seen.reading.sum(dim=1), torch.ones(2))


def test_a_network_in_training_is_refused() -> None:
    with pytest.raises(ValueError, match="training mode"):
        record(network().train(), images())


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("method", get_args(Method))
def test_a_map_has_a_value_for_each_patch_and_zero_where_none_is_read(
    method, kind
) -> None:
    found = explain(
        network(**kind).seeing(VISIBLE), images(), LABELS, method=method, black=BLACK
    )
    assert found.shape == (2, 6)
    assert found.isfinite().all()
    assert not found.requires_grad
    hidden = [place for place in range(6) if place not in VISIBLE]
    assert (found[:, hidden] == 0).all()
    assert (found[:, list(VISIBLE)] != 0).any()


@pytest.mark.parametrize("method", get_args(Method))
def test_an_image_is_explained_alike_alone_and_among_others(method) -> None:
    together = explain(network(), images(), LABELS, method=method, black=BLACK)
    alone = explain(network(), images()[1:], LABELS[1:], method=method, black=BLACK)
    torch.testing.assert_close(together[1:], alone, rtol=1e-3, atol=1e-5)


def test_nothing_of_the_network_is_changed() -> None:
    made = network()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    for method in get_args(Method):
        explain(made, images(), LABELS, method=method, black=BLACK)
    assert all(value.equal(before[name]) for name, value in made.state_dict().items())
    assert all(parameter.grad is None for parameter in made.parameters())


def test_a_frozen_network_is_explained_too() -> None:
    free, frozen = network(), network().requires_grad_(requires_grad=False)
    for method in ("relevance", "grad-cam"):
        torch.testing.assert_close(
            explain(frozen, images(), LABELS, method=method, black=BLACK),
            explain(free, images(), LABELS, method=method, black=BLACK),
        )


@pytest.mark.parametrize("method", get_args(Method))
def test_a_map_is_computed_in_float32_whatever_the_weights_are_kept_in(method) -> None:
    short = network().bfloat16()
    exact = network()
    exact.load_state_dict(short.state_dict())  # the same weights, in float32
    expected = explain(exact, images(), LABELS, method=method, black=BLACK)
    for asked in (short, exact):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = explain(asked, images(), LABELS, method=method, black=BLACK)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert {value.dtype for value in short.parameters()} == {torch.bfloat16}


def saved(seed: int = 3) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    layers = rng.random((4, 1, 2, 5, 5))
    layers /= layers.sum(axis=-1, keepdims=True)
    return list(layers), list(rng.normal(size=layers.shape))


def test_rollout_equals_numpys_and_its_rows_sum_to_one() -> None:
    layers, _ = saved()
    reached = np.eye(5)
    for weights in layers:
        reached = (weights[0].mean(axis=0) / 2 + np.eye(5) / 2) @ reached
    found = attention.rollout([torch.from_numpy(one) for one in layers])
    np.testing.assert_allclose(found[0], reached)
    np.testing.assert_allclose(found.sum(dim=-1), 1.0)


def test_relevance_equals_numpys() -> None:
    layers, slopes = saved()
    relevant = np.eye(5)
    for weights, slope in zip(layers, slopes, strict=True):
        counted = np.maximum(weights[0] * slope[0], 0).mean(axis=0)
        relevant = relevant + counted @ relevant
    found = attention.relevance(
        [torch.from_numpy(one) for one in layers],
        [torch.from_numpy(one) for one in slopes],
    )
    np.testing.assert_allclose(found[0], relevant)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_rollout_of_all_that_the_head_reads_sums_to_one(kind) -> None:
    seen = record(network(**kind).seeing(VISIBLE), images())
    reached = attention.rollout(seen.attention)
    everything = attention.of_patches(reached, seen.reading, num_prefix=0)
    torch.testing.assert_close(everything.sum(dim=1), torch.ones(2))
    of_patches = attention.of_patches(reached, seen.reading, num_prefix=1)
    assert (of_patches.sum(dim=1) < 1).all()  # the class token has kept some


@given(st.integers(0, 2**32 - 1))
def test_relevance_only_adds_to_what_a_token_is_to_itself(seed) -> None:
    layers, slopes = saved(seed)
    found = attention.relevance(
        [torch.from_numpy(one) for one in layers],
        [torch.from_numpy(one) for one in slopes],
    )
    assert (found >= torch.eye(5)).all()
    without = attention.relevance(
        [torch.from_numpy(one) for one in layers],
        [-torch.from_numpy(one).abs() for one in slopes],
    )
    torch.testing.assert_close(without[0], torch.eye(5).double())


def test_relevance_is_no_share_of_the_logit() -> None:
    """It is not conserved: another logit may have the same map (the page says so)."""
    plain, raised = network(), network()
    raised.head.bias.data += 100.0
    assert (raised(images()) - plain(images()) > 99).all()
    one, other = (
        explain(made, images(), LABELS, method="relevance", black=BLACK)
        for made in (plain, raised)
    )
    torch.testing.assert_close(one, other)


def test_grad_cam_equals_numpys() -> None:
    rng = np.random.default_rng(0)
    tokens, slopes = rng.normal(size=(2, 1, 7, 4))
    expected = np.maximum(tokens[0, 1:] @ slopes[0, 1:].mean(axis=0), 0)
    found = gradients.grad_cam(torch.from_numpy(tokens), torch.from_numpy(slopes), 1)
    np.testing.assert_allclose(found[0], expected)


@pytest.mark.parametrize("visible", [None, VISIBLE])
def test_integrated_gradients_are_complete_within_one_percent(visible) -> None:
    made = network().seeing(visible)
    found = explain(
        made, images(), LABELS, method="integrated-gradients", black=BLACK
    ).sum(dim=1)
    with torch.no_grad():
        black = torch.full_like(images(), BLACK)
        rise = (made(images()) - made(black)).gather(1, LABELS[:, None])[:, 0]
    torch.testing.assert_close(found, rise, rtol=0.01, atol=0)


def test_occlusion_equals_a_loop_over_patches() -> None:
    made, shown = network(), images(1)
    found = explain(made, shown, LABELS[1:], method="occlusion", black=BLACK)[0]
    with torch.no_grad():
        whole = made(shown)[0, 2]
        for place in range(6):
            row, column = divmod(place, 2)
            covered = shown.clone()
            covered[:, :, 16 * row : 16 * row + 16, 16 * column :][..., :16] = BLACK
            torch.testing.assert_close(
                found[place], whole - made(covered)[0, 2], rtol=1e-3, atol=1e-5
            )


def test_the_map_depends_on_the_class_but_for_methods_that_only_look() -> None:
    made = network()
    for method in get_args(Method):
        one, other = (
            explain(made, images(1), torch.tensor([k]), method=method, black=BLACK)
            for k in (0, 1)
        )
        assert one.allclose(other) == (method in {"rollout", "attention"})


def test_one_head_of_one_block_is_shown_or_refused() -> None:
    made = network()
    weights = made.attention_weights(images())[1]
    found = explain(
        made, images(), LABELS, method="attention", black=BLACK, layer=1, head=2
    )
    torch.testing.assert_close(found, weights[:, 2, 0, 1:])
    for wrong in ({"layer": 3}, {"layer": -4}, {"head": 3}, {"head": -1}):
        with pytest.raises(ConfigError, match="blocks 0 to 2 and heads 0 to 2"):
            explain(made, images(), LABELS, method="attention", black=BLACK, **wrong)


def test_patches_are_summed_in_every_number_of_dimensions() -> None:
    volume = torch.arange(2.0 * 64).reshape(1, 2, 4, 4, 4)
    found = by_patch(volume, (2, 4, 2))
    expected = [
        volume[0, :, z : z + 2, :, x : x + 2].sum() for z in (0, 2) for x in (0, 2)
    ]
    torch.testing.assert_close(found[0], torch.stack(expected))
