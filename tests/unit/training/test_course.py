"""Which slices stand in which batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric import Fabric

from vit_dementia.config import RunConfig, TrainConfig
from vit_dementia.data.batches import epoch_order
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.draws import keys_for
from vit_dementia.data.leaks import Leak
from vit_dementia.data.storage import frame
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.training.course import Course
from vit_dementia.training.feed import Feed
from vit_dementia.training.material import Material


def _material(sizes, *, labels=("CN", "AD")) -> Material:
    """Return a training of visits of these sizes, two of each participant, mingled."""
    visits = np.repeat(np.arange(len(sizes)), sizes)
    visits = np.random.default_rng(0).permutation(visits)
    cells = {
        "path": [f"{row}.png" for row in range(len(visits))],
        "participant_id": [f"sub-{visit // 2}" for visit in visits],
        "session_id": [str(visit % 2) for visit in visits],
        "label": [labels[visit // 2 % 2] for visit in visits],
    }
    cohort = Cohort(root=Path(), table=frame(cells), classes=("CN", "AD"), ordered=True)
    return Material(
        cohort=cohort,
        images=np.zeros((len(visits), 1, 8, 8), np.uint8),
        roles=np.array(["val", *["train"] * (len(visits) - 1)]),
        labels=cohort.labels(),
        preprocessing=SlicePreprocessing(size=(8, 8)),
        leak=Leak((), checked=True),
    )


def _batches(material, *, rank=0, processes=1, epoch=0, **train):
    course = Course(RunConfig(train=TrainConfig(**train)), material)
    taken: list[np.ndarray] = []
    fabric = Mock(
        spec=Fabric, global_rank=rank, world_size=processes, device=torch.device("cpu")
    )
    fabric.to_device.side_effect = lambda tensor: tensor
    feed = Mock(spec=Feed)
    feed.take.side_effect = lambda rows, _epoch: (
        taken.append(rows) or torch.zeros(len(rows), 1, 1)
    )
    batches = list(course.batches(epoch, course.num_batches * epoch, feed, fabric))
    return course, taken, batches


@given(
    st.lists(st.integers(1, 7), min_size=2, max_size=12),
    st.integers(1, 12),
    st.sampled_from(["none", "sampling"]),
)
def test_visits_stay_whole_and_all_are_shown_once_an_epoch(
    sizes, batch_size, balance
) -> None:
    material = _material(sizes)
    course, taken, batches = _batches(
        material, batch_size=batch_size, slice_pooling="attention", balance=balance
    )
    train, of_visit = material.rows("train"), material.visits
    for rows, batch in zip(taken, batches, strict=True):
        assert len(rows) <= max(batch_size, *sizes)
        for visit in batch.visits.unique():
            mine = rows[(batch.visits == visit).numpy()]
            whole = train[of_visit[train] == of_visit[mine[0]]]
            assert mine.tolist() == whole.tolist()
    every = np.concatenate(taken)
    assert every.tolist() == course.order(0).tolist()
    if balance == "none":
        assert sorted(every) == train.tolist()
    keys = torch.cat([batch.keys for batch in batches])
    assert len(keys.unique(dim=0)) == len(every)  # nothing is augmented alike


def test_slices_of_one_visit_under_two_labels_are_pooled_apart() -> None:
    material = _material([4, 4])
    labels = material.labels.copy()
    labels[1] = 1 - labels[1]
    together = Course(
        RunConfig(train=TrainConfig(slice_pooling="attention")),
        replace(material, labels=labels),
    ).drawn_as_one
    assert [1] in [rows.tolist() for rows in together]
    assert all(len(set(labels[rows])) == 1 for rows in together)


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_processes_share_a_batch_without_dividing_what_is_one(pooling) -> None:
    material = _material([3, 2, 4, 1, 2, 2])
    settings = {"batch_size": 9, "slice_pooling": pooling, "accumulate": 2}
    _, alone, whole = _batches(material, **settings)
    shares = [_batches(material, rank=r, processes=2, **settings) for r in (0, 1)]
    for number, batch in enumerate(whole):
        parts = [(rows[number], said[number]) for _, rows, said in shares]
        shown = [rows for rows, part in parts if part.share]
        assert sorted(np.concatenate(shown)) == sorted(alone[number])
        # Each process' mean, by its share, is the mean over all.
        total = sum(part.share * rows.mean() for rows, part in parts) / 2
        assert total == pytest.approx(batch.share * alone[number].mean())


def test_slices_that_learn_alone_are_dealt_as_ever() -> None:
    material = _material([3, 2, 4, 1])
    _, taken, batches = _batches(material, epoch=2, batch_size=4)
    train = material.rows("train")
    order = train[
        epoch_order(
            material.cohort.table["participant_id"].iloc[train].tolist(),
            material.labels[train],
            seed=0,
            epoch=2,
        )
    ]
    assert np.concatenate(taken).tolist() == order.tolist()
    assert [len(rows) for rows in taken] == [4, 4, 1]
    keys = torch.cat([batch.keys for batch in batches])
    assert keys.equal(keys_for(0, 2, places=range(9)))
    assert all(batch.visits is None for batch in batches)
