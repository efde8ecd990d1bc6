from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from vit_dementia.config import AugmentConfig, TrainConfig
from vit_dementia.data.augmentation import augment
from vit_dementia.data.draws import Draws, keys_for
from vit_dementia.inference.compute import make_fabric
from vit_dementia.models import create_model
from vit_dementia.training.loop import Batch, classify, fit
from vit_dementia.training.mixing import mix
from vit_dementia.training.optimizer import make_optimizer


def _batches(count: int, size: int = 4) -> list[Batch]:
    generator = torch.Generator().manual_seed(1)
    return [
        Batch(
            step,
            torch.randint(0, 256, (size, 1, 2, 3), generator=generator).byte(),
            torch.randint(0, 3, (size,), generator=generator),
            keys_for(step, places=range(size)),
        )
        for step in range(count)
    ]


def _train(batches, config: TrainConfig, *, num_steps=None, weights=(1.0, 1.0, 1.0)):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
    optimizer = make_optimizer(model, config, depth=0)
    objective = classify(
        lambda batch: batch.images.float() / 255,
        class_weights=torch.tensor(weights),
        label_smoothing=config.label_smoothing,
    )
    steps = list(
        fit(
            model,
            batches,
            objective,
            optimizer,
            config,
            fabric=make_fabric("cpu", "fp32"),
            num_steps=num_steps or len(batches),
            seed=0,
        )
    )
    return model, steps


def test_a_step_is_pytorchs_own() -> None:
    config = TrainConfig(
        learning_rate=0.1, warmup=0.0, schedule="constant", grad_clip=0.5,
        weight_decay=0.0, label_smoothing=0.1,
    )  # fmt: skip
    batches = _batches(3)
    ours, steps = _train(batches, config, weights=(1.0, 2.0, 0.5))
    torch.manual_seed(0)
    theirs = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=0.1, weight_decay=0.0)
    for batch, step in zip(batches, steps, strict=True):
        optimizer.zero_grad()
        losses = nn.functional.cross_entropy(
            theirs(batch.images.float() / 255),
            batch.labels,
            weight=torch.tensor([1.0, 2.0, 0.5]),
            label_smoothing=0.1,
            reduction="none",
        )
        torch.testing.assert_close(step.losses, losses.detach())
        losses.mean().backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        optimizer.step()
    torch.testing.assert_close(ours[1].weight, theirs[1].weight)


def test_accumulated_batches_are_one_large_batch() -> None:
    config = TrainConfig(warmup=0.0, schedule="constant", grad_clip=0.0)
    small = [
        dataclasses.replace(batch, share=0.5, ends_update=batch.step == 1)
        for batch in _batches(2, size=4)
    ]
    large = Batch(
        0,
        torch.cat([batch.images for batch in small]),
        torch.cat([batch.labels for batch in small]),
        torch.cat([batch.keys for batch in small]),
    )
    apart, _ = _train(small, config)
    together, _ = _train([large], config)
    torch.testing.assert_close(apart[1].weight, together[1].weight)


def test_a_run_stops_when_nobody_asks_for_more() -> None:
    config = TrainConfig()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
    steps = fit(
        model,
        iter(_batches(5)),
        classify(
            lambda batch: batch.images.float(),
            class_weights=torch.ones(3),
            label_smoothing=0.0,
        ),
        make_optimizer(model, config, depth=0),
        config,
        fabric=make_fabric("cpu", "fp32"),
        num_steps=5,
        seed=0,
    )
    assert next(steps).batch.step == 0
    before = model[1].weight.detach().clone()
    steps.close()
    assert torch.equal(model[1].weight, before)


@pytest.mark.parametrize("label", [0, 2])
def test_correctness_is_that_of_the_largest_logit(label) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
    model[1].bias.data = torch.tensor([9.0, 0.0, 0.0])
    images, labels = torch.zeros(2, 1, 2, 3).byte(), torch.tensor([label, label])
    batch = Batch(0, images, labels, keys_for(places=[0, 1]))
    objective = classify(
        lambda batch: batch.images.float(),
        class_weights=torch.ones(3),
        label_smoothing=0.0,
    )
    _, is_correct = objective(model, batch)
    assert is_correct.tolist() == [float(label == 0)] * 2


class _Waits(TorchDispatchMode):
    """Count what makes a host wait for its device: numbers read back, lengths found."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        if any(
            word in name for word in ("local_scalar", "nonzero", "unique", "equal.")
        ):
            self.found.append(name)
        return func(*args, **kwargs or {})


def test_a_step_never_waits_for_its_device() -> None:
    everything = AugmentConfig(flip=0.5, elastic=0.03, ghosting=0.5, erase=0.5)
    model = create_model(
        num_classes=3, image_size=(16, 16), patch_size=8, embed_dim=8, depth=1,
        num_heads=1, dropout=0.1, drop_path=0.1,
    )  # fmt: skip
    config = TrainConfig(label_smoothing=0.1)
    batch = Batch(
        0,
        torch.zeros(4, 1, 16, 16, dtype=torch.uint8),
        torch.arange(4) % 3,
        keys_for(places=range(4)),
    )
    steps = fit(
        model,
        [batch] * 3,
        classify(
            lambda b: augment(b.images.float() / 255, everything, Draws(b.keys)),
            class_weights=torch.ones(3),
            label_smoothing=0.1,
            mixed=lambda _b, x, y: mix(x, y, np.random.default_rng(0), mixup=1.0),
        ),
        make_optimizer(model, config, depth=1),
        config,
        fabric=make_fabric("cpu", "fp32"),
        num_steps=3,
        seed=0,
    )
    with _Waits() as waits:
        last = list(steps)[-1]
        assert waits.found == []
        last.losses.sum().item()  # and it would have been seen
    assert waits.found == ["aten._local_scalar_dense.default"]


def test_slices_of_a_visit_bear_the_loss_of_their_mixture() -> None:
    torch.manual_seed(0)
    rows, labels = torch.randn(5, 4), torch.tensor([2, 0, 2, 0, 0])
    visits, weights = torch.tensor([0, 1, 0, 1, 2]), torch.tensor([1.0, 2.0, 3.0])
    batch = dataclasses.replace(
        _batches(1, 5)[0], images=rows[:, None], labels=labels, visits=visits
    )
    objective = classify(
        lambda batch: batch.images[:, 0], class_weights=weights, label_smoothing=0.0
    )
    losses, is_correct = objective(nn.Identity(), batch)
    for visit, label in enumerate([2, 0, 0]):
        mine = rows[visits == visit]
        p = mine[:, 3].softmax(0) @ mine[:, :3].softmax(1)
        expected = (-weights[label] * p[label].log()).expand(len(mine))
        torch.testing.assert_close(losses[visits == visit], expected)
        right = float(p.argmax() == label)
        assert (is_correct[visits == visit] == right).all()
