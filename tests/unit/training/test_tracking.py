from __future__ import annotations

import pytest

from vit_dementia.training import tracking
from vit_dementia.training.history import EpochRecord
from vit_dementia.training.tracking import Tracker


def _record(epoch: int) -> EpochRecord:
    return EpochRecord(
        epoch=epoch,
        learning_rate=1e-3,
        train_loss=1.0 / epoch,
        train_accuracy=0.5,
        val_loss=None,
        val_accuracy=None,
        val_balanced_accuracy=None,
        images_per_second=10.0,
        seconds=3.0,
    )


def test_tensorboard_reads_back_the_curves_of_a_resumed_run(tmp_path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with Tracker(tmp_path, after=0) as tracker:
        for epoch in (1, 2, 3):
            tracker.add(_record(epoch))
    with Tracker(tmp_path, after=2) as tracker:  # epoch 3 is done again
        tracker.add(_record(3))
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    points = events.Scalars("loss/train")
    assert [(p.step, round(p.value, 4)) for p in points] == [
        (1, 1.0),
        (2, 0.5),
        (3, 0.3333),
    ]
    assert "loss/val" not in events.Tags()["scalars"]


def test_without_tensorboard_nothing_is_written(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    with Tracker(tmp_path, after=0) as tracker:
        tracker.add(_record(1))
    assert not list(tmp_path.iterdir())
