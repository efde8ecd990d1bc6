from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vit_dementia.config import RunConfig, TrainConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.leaks import Leak
from vit_dementia.data.storage import frame
from vit_dementia.inference.compute import make_fabric
from vit_dementia.models import create_model
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.progress import Quiet
from vit_dementia.training.classification import Classification
from vit_dementia.training.epochs import Training
from vit_dementia.training.feed import SliceFeed
from vit_dementia.training.history import read_history
from vit_dementia.training.loop import Batch, Objective
from vit_dementia.training.material import Material
from vit_dementia.training.optimizer import make_optimizer
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.training.validation import Best, HeldOut


def _training(tmp_path, num: int, **settings: object) -> Training:
    cells = {
        "path": [f"{n}.png" for n in range(num)],
        "participant_id": [f"sub-{n}" for n in range(num)],
        "label": [("CN", "AD")[n % 2] for n in range(num)],
    }
    cohort = Cohort(
        root=tmp_path, table=frame(cells), classes=("CN", "AD"), ordered=True
    )
    material = Material(
        cohort=cohort,
        images=np.zeros((num, 1, 8, 8), np.uint8),
        roles=np.array(["train"] * num),
        labels=cohort.labels(),
        preprocessing=SlicePreprocessing(size=(8, 8)),
        leak=Leak((), checked=True),
    )
    config = RunConfig(train=TrainConfig(**settings))
    model = create_model(
        num_classes=2,
        image_size=(8, 8),
        patch_size=8,
        embed_dim=8,
        depth=1,
        num_heads=1,
    )
    fabric = make_fabric("cpu", "fp32")
    feed = SliceFeed(config, material, model, fabric)
    goal = Classification(config, material, model, feed, fabric)
    return Training(config, material, goal, fabric, Quiet())


def _batches(training: Training, epoch: int, start: int) -> list[Batch]:
    course = training.course
    return list(course.batches(epoch, start, training.goal.feed, training.fabric))


@pytest.mark.parametrize("num", [1, 2, 7, 12])
@given(size=st.integers(1, 5), many=st.integers(1, 4), epoch=st.integers(0, 3))
def test_updates_share_their_gradient_fully_and_end_with_the_epoch(
    tmp_path_factory, num, size, many, epoch
) -> None:
    training = _training(
        tmp_path_factory.mktemp("x"), num, batch_size=size, accumulate=many
    )
    batches = _batches(training, epoch, 0)
    assert sum(len(batch.labels) for batch in batches) == num
    assert batches[-1].ends_update
    update: list[float] = []
    for batch in batches:
        update.append(batch.share)
        if batch.ends_update:
            assert sum(update) == pytest.approx(1.0)
            assert len(update) <= many
            update = []


@given(start=st.integers(0, 12))
def test_a_started_epoch_goes_on_with_the_very_batches_that_are_left(
    tmp_path_factory, start
) -> None:
    training = _training(tmp_path_factory.mktemp("x"), 12, batch_size=2)
    whole = _batches(training, 1, 0)
    rest = _batches(training, 1, 6 + start)
    assert [batch.step for batch in rest] == list(range(6 + start, 12))
    for ours, theirs in zip(rest, whole[start:], strict=True):
        assert ours.labels.tolist() == theirs.labels.tolist()
        assert dataclasses.replace(ours, images=theirs.images).share == theirs.share


@dataclasses.dataclass(frozen=True)
class Brightness:
    """A goal without labels: to tell how bright a slice is."""

    feed: SliceFeed

    @property
    def model(self) -> nn.Module:
        return self.feed.network

    def objective(self) -> Objective:
        def squared_error(model: nn.Module, batch: Batch):
            inputs = self.feed.prepare(batch)
            return (model(inputs)[:, 0] - inputs.mean((1, 2, 3))).square(), None

        return squared_error

    def optimizer(self, settings: TrainConfig) -> torch.optim.Optimizer:
        return make_optimizer(self.model, settings, depth=1)

    def score(self, wrapped: nn.Module, role: str) -> HeldOut | None:
        logits = self.feed.logits(wrapped, self.feed.material.rows("train"))
        return HeldOut(loss=float(np.square(logits).mean())) if role == "val" else None

    def keep(self, folder: Path, best: Best) -> None:
        (folder / "kept").write_text(str(best.epoch))


def test_another_goal_needs_no_labels_and_is_judged_by_its_loss(tmp_path) -> None:
    training = _training(tmp_path, 6, epochs=3, batch_size=4, learning_rate=1e-2)
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    goal = Brightness(training.goal.feed)
    dataclasses.replace(training, goal=goal).run(folder)
    records = read_history(folder.path / "history.jsonl")
    assert [record.train_accuracy for record in records] == [None] * 3
    losses = [record.val_loss for record in records]
    assert (folder.path / "kept").read_text() == str(1 + losses.index(min(losses)))


def test_the_test_part_is_asked_only_where_somebody_watches_it(tmp_path) -> None:
    asked: list[str] = []

    class Asked(Brightness):
        def score(self, wrapped: nn.Module, role: str) -> HeldOut | None:
            asked.append(role)
            return super().score(wrapped, role)

    for watched in (False, True):
        training = _training(tmp_path, 4, epochs=1, batch_size=4, watch_test=watched)
        folder = RunFolder(tmp_path / f"run-{watched}")
        folder.path.mkdir()
        goal = Asked(training.goal.feed)
        dataclasses.replace(training, goal=goal).run(folder)
        assert asked == (["val"] if not watched else ["val", "val", "test"])
