from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import get_cosine_schedule_with_warmup

from vit_dementia.config import TrainConfig
from vit_dementia.errors import ConfigError
from vit_dementia.models import create_model
from vit_dementia.training.optimizer import (
    freeze,
    learning_rate_at,
    make_optimizer,
    set_learning_rate,
)

DEPTH = 4


@pytest.fixture
def model() -> torch.nn.Module:
    return create_model(
        "ViT-Ti/16", num_classes=2, image_size=(32, 32), depth=DEPTH, embed_dim=24
    )


def _learning(model: torch.nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def test_freezing_nothing_the_backbone_or_the_first_blocks(model) -> None:
    everything = _learning(model)
    freeze(model, "none", depth=DEPTH)
    assert _learning(model) == everything
    freeze(model, "2-blocks", depth=DEPTH)
    blocks = {name.split(".")[1] for name in _learning(model) if "blocks" in name}
    assert blocks == {"2", "3"}
    assert "cls_token" not in _learning(model)
    assert "norm.weight" in _learning(model)
    count = freeze(model, "backbone", depth=DEPTH)
    assert _learning(model) == {"head.weight", "head.bias"}
    assert count == 24 * 2 + 2


def test_freezing_more_blocks_than_there_are_is_refused(model) -> None:
    with pytest.raises(ConfigError, match="the model has 4 blocks"):
        freeze(model, "5-blocks", depth=DEPTH)


def test_decay_spares_biases_norms_tokens_and_positions(model) -> None:
    optimizer = make_optimizer(model, TrainConfig(weight_decay=0.1), depth=DEPTH)
    decay_of = {
        id(p): group["weight_decay"]
        for group in optimizer.param_groups
        for p in group["params"]
    }
    spared = {n for n, p in model.named_parameters() if decay_of[id(p)] == 0.0}
    assert spared == {
        name
        for name, _ in model.named_parameters()
        if name.endswith("bias") or "norm" in name or name in ("cls_token", "pos_embed")
    }


def test_layers_further_from_the_head_learn_slower_by_the_same_factor(model) -> None:
    config = TrainConfig(layer_decay=0.5, learning_rate=1.0)
    optimizer = make_optimizer(model, config, depth=DEPTH)
    set_learning_rate(optimizer, 1.0)
    rate_of = {
        id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]
    }
    named = dict(model.named_parameters())
    layers = [
        "patch_embed.proj.weight",
        *(f"blocks.{i}.attn.qkv.weight" for i in range(DEPTH)),
        "head.weight",
    ]
    assert [rate_of[id(named[name])] for name in layers] == [
        0.5 ** (DEPTH + 1 - layer) for layer in range(DEPTH + 2)
    ]
    assert rate_of[id(named["norm.weight"])] == 1.0


def test_every_parameter_is_in_one_group(model) -> None:
    optimizer = make_optimizer(model, TrainConfig(layer_decay=0.7), depth=DEPTH)
    ids = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in model.parameters())


def test_the_optimizer_is_the_one_asked_for(model) -> None:
    sgd = make_optimizer(model, TrainConfig(optimizer="sgd"), depth=DEPTH)
    assert isinstance(sgd, torch.optim.SGD)
    assert {group["momentum"] for group in sgd.param_groups} == {0.9}
    assert isinstance(
        make_optimizer(model, TrainConfig(), depth=DEPTH), torch.optim.AdamW
    )


def test_the_cosine_schedule_is_that_of_transformers() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    theirs = get_cosine_schedule_with_warmup(optimizer, 10, 100)
    config = TrainConfig(learning_rate=2.0, warmup=0.1)
    # Theirs spends step 0 at a rate of zero, ours begins one step up.
    for step in range(9):
        assert learning_rate_at(step, 100, config) == pytest.approx(
            2.0 * (step + 1) / 10
        )
    for step in range(10, 100):
        expected = theirs.lr_lambdas[0](step) * 2.0
        assert learning_rate_at(step, 100, config) == pytest.approx(expected)


@given(
    st.integers(1, 500),
    st.floats(0, 0.9),
    st.sampled_from(["cosine", "linear", "constant"]),
)
def test_the_learning_rate_never_leaves_zero_to_peak(
    num_steps, warmup, schedule
) -> None:
    config = TrainConfig(learning_rate=1.0, warmup=warmup, schedule=schedule)
    rates = [learning_rate_at(step, num_steps, config) for step in range(num_steps)]
    assert all(0 < rate <= 1 and math.isfinite(rate) for rate in rates)
    peak = round(warmup * num_steps)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
