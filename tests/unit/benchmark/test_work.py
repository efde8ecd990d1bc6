from __future__ import annotations

import pytest
import torch
from torch import nn

from vit_dementia.benchmark.entries import OURS, build, entries_here
from vit_dementia.benchmark.work import Case, cost_of, count_cost, worker

CASE = Case("Ti/16", 2, "fp32", "forward", image_size=32)
IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_arithmetic_of_the_paper_is_counted_by_hand_and_by_us() -> None:
    a = CASE.architecture
    n, d = a.num_patches + 1, a.embed_dim
    block = 4 * n * d * d + 2 * n * n * d + 2 * n * d * a.mlp_dim
    patches = a.num_patches * a.channels * 16 * 16 * d
    expected = 2 * (a.depth * block + patches + d * a.num_classes)
    assert cost_of(OURS, a, "forward").flops == expected


def test_every_library_here_does_our_work() -> None:
    for what in ("forward", "training"):
        ours = cost_of(OURS, CASE.architecture, what)
        for entry in entries_here():
            theirs = cost_of(entry, CASE.architecture, what)
            assert theirs.flops == pytest.approx(ours.flops, rel=0.01), entry.name
            assert theirs.num_parameters == pytest.approx(
                ours.num_parameters, rel=0.01
            ), entry.name


def test_a_training_step_costs_about_three_forward_passes() -> None:
    forward, training = (
        cost_of(OURS, CASE.architecture, what) for what in ("forward", "training")
    )
    assert 2.8 < training.flops / forward.flops < 3.0  # no gradient of the images


def test_counting_leaves_no_gradient_behind() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))
    assert count_cost(model, IMAGES, "training").flops == 2 * 2 * 3 * 32 * 32 * 4
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_lowers_the_loss_and_a_forward_pass_changes_nothing(precision) -> None:
    torch.manual_seed(0)
    model = build(OURS, CASE.architecture)
    labels = torch.arange(2)

    def loss() -> float:
        with torch.inference_mode():
            return nn.functional.cross_entropy(model(IMAGES), labels).item()

    before = loss()
    worker(model, what="forward", precision=precision)(IMAGES)
    assert loss() == before
    work = worker(model, what="training", precision=precision)
    for _ in range(3):
        work(IMAGES)
    model.eval()
    assert loss() < before
