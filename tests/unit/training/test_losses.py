from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from vit_dementia.training.losses import (
    LOSSES,
    cross_entropy,
    of_visits,
    ordinal_cross_entropy,
    targets_of,
)

F64 = torch.float64


def _drawn(seed: int, num: int = 6, k: int = 4):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(num, k, generator=generator, dtype=F64)
    labels = torch.randint(0, k, (num,), generator=generator)
    return logits, labels, torch.rand(k, generator=generator, dtype=F64) + 0.1


@given(st.integers(0, 10_000), st.floats(0, 0.9))
def test_cross_entropy_of_targets_is_pytorchs_of_labels(seed, smoothing) -> None:
    logits, labels, weights = _drawn(seed)
    targets = targets_of(labels, 4, label_smoothing=smoothing).to(F64)
    torch.testing.assert_close(
        cross_entropy(logits, targets, weights),
        functional.cross_entropy(
            logits, labels, weights, label_smoothing=smoothing, reduction="none"
        ),
        rtol=1e-5,
        atol=1e-6,  # the targets are float32
    )


@given(st.integers(0, 10_000))
def test_the_ordinal_loss_is_pytorchs_binary_one_at_each_threshold(seed) -> None:
    logits, labels, weights = _drawn(seed)
    probability = logits.softmax(dim=1)
    expected = sum(
        functional.binary_cross_entropy(
            probability[:, j + 1 :].sum(dim=1), (labels > j).to(F64), reduction="none"
        )
        for j in range(3)
    )
    targets = targets_of(labels, 4).to(F64)
    found = ordinal_cross_entropy(logits, targets, weights)
    torch.testing.assert_close(found, expected * weights[labels])


@given(st.integers(0, 10_000), st.floats(0, 0.9))
def test_with_two_classes_the_ordinal_loss_is_the_cross_entropy(seed, smoothing):
    logits, labels, _ = _drawn(seed, k=2)
    targets = targets_of(labels, 2, label_smoothing=smoothing).to(F64)
    ones = torch.ones(2, dtype=F64)
    torch.testing.assert_close(
        ordinal_cross_entropy(logits, targets, ones),
        cross_entropy(logits, targets, ones),
        rtol=1e-5,
        atol=1e-6,  # the targets are float32
    )


@pytest.mark.parametrize("name", LOSSES)
@given(st.integers(0, 10_000))
def test_no_answer_has_a_lower_mean_loss_than_the_true_probabilities(name, seed):
    rng = np.random.default_rng(seed)
    truth = torch.from_numpy(rng.dirichlet(np.ones(4)))
    other = torch.from_numpy(rng.dirichlet(np.ones(4)))
    ones = torch.ones(4, dtype=F64)

    def mean(answer):
        logits = answer.clamp(min=1e-12).log().expand(4, 4)
        return (truth * LOSSES[name](logits, torch.eye(4, dtype=F64), ones)).sum()

    assert mean(truth) <= mean(other) + 1e-9


def test_the_ordinal_loss_is_finite_where_probabilities_are_not_numbers_any_more():
    logits = torch.tensor([[200.0, 0.0, -200.0]], requires_grad=True)
    targets = torch.tensor([[0.0, 0.0, 1.0]])
    loss = ordinal_cross_entropy(logits, targets, torch.ones(3))
    loss.sum().backward()
    assert loss.item() == pytest.approx(400 + 200)
    assert logits.grad.isfinite().all()


def _visits(seed: int):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(9, 4, generator=generator, dtype=F64, requires_grad=True)
    return rows, torch.tensor([5, 5, 2, 5, 2, 7, 2, 2, 5])


@given(st.integers(0, 10_000))
def test_a_visit_is_pooled_as_in_the_paper_and_so_are_its_gradients(seed) -> None:
    rows, visits = _visits(seed)
    of_visits(rows, visits)[:, 1].sum().backward()
    found, rows.grad = rows.grad, None
    total = 0
    for visit in visits.unique():
        mine = rows[visits == visit]
        attention = functional.softmax(mine[:, 3:].T, dim=1)  # Eq. 8: over K slices
        pooled = torch.mm(attention, functional.softmax(mine[:, :3], dim=1))  # Eq. 7
        said = of_visits(rows, visits)[visits == visit]
        torch.testing.assert_close(said, pooled.log().expand(len(mine), 3))
        total = total + len(mine) * pooled.log()[0, 1]
    total.backward()
    torch.testing.assert_close(found, rows.grad)


def test_equal_scores_pool_by_the_mean_and_order_does_not_matter() -> None:
    rows, visits = _visits(0)
    rows = rows.detach()
    turned = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        of_visits(rows[turned], visits[turned]), of_visits(rows, visits)[turned]
    )
    alike = torch.cat([rows[:, :3], torch.zeros(9, 1, dtype=F64)], dim=1)
    mean = rows[visits == 2, :3].softmax(dim=1).mean(dim=0)
    torch.testing.assert_close(of_visits(alike, visits)[2].exp(), mean)
    torch.testing.assert_close(  # one slice alone
        of_visits(rows, visits)[5], rows[5, :3].log_softmax(dim=0)
    )
