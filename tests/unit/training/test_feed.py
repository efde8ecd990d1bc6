"""Kept features of a frozen backbone give what the whole network gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vit_dementia.config import AugmentConfig, RunConfig, TrainConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.draws import keys_for
from vit_dementia.data.leaks import Leak
from vit_dementia.data.storage import frame
from vit_dementia.inference.compute import make_fabric
from vit_dementia.models import create_model
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.progress import Quiet
from vit_dementia.training.feed import FeatureFeed, SliceFeed, make_feed
from vit_dementia.training.loop import Batch
from vit_dementia.training.material import Material
from vit_dementia.training.optimizer import freeze

NUM = 70  # more than one pass of the backbone


def _feed(tmp_path, *, what="backbone", pooling="cls", augment=True, views=1):
    cells = {
        "path": [f"{n}.png" for n in range(NUM)],
        "participant_id": [f"sub-{n}" for n in range(NUM)],
        "label": [("CN", "AD")[n % 2] for n in range(NUM)],
    }
    cohort = Cohort(
        root=tmp_path, table=frame(cells), classes=("CN", "AD"), ordered=True
    )
    images = np.random.default_rng(0).integers(0, 255, (NUM, 1, 8, 8)).astype(np.uint8)
    material = Material(
        cohort=cohort,
        images=images,
        roles=np.array(["train"] * (NUM - 2) + ["val", "train"]),
        labels=cohort.labels(),
        preprocessing=SlicePreprocessing(size=(8, 8), mean=0.4, std=0.3),
        leak=Leak((), checked=True),
    )
    torch.manual_seed(0)
    model = create_model(
        num_classes=2, image_size=(8, 8), patch_size=4, embed_dim=8, depth=2,
        num_heads=2, pooling=pooling, registers=2, dropout=0.3,
    )  # fmt: skip
    model.head.weight.data.normal_()
    freeze(model, what, depth=2)
    config = RunConfig(
        train=TrainConfig(views=views), augment=AugmentConfig(enabled=augment)
    )
    fabric = make_fabric("cpu", "fp32")
    return make_feed(
        config, material, model, fabric, cache=tmp_path / "cache", watch=Quiet()
    )


@pytest.mark.parametrize("pooling", ["cls", "mean", "map"])
def test_the_head_on_kept_features_is_the_whole_network(tmp_path, pooling) -> None:
    feed = _feed(tmp_path, pooling=pooling)
    assert isinstance(feed, FeatureFeed)
    rows = np.array([69, 0, 5])
    tokens = feed.take(rows, epoch=3)
    if pooling != "map":
        assert tokens.shape[1] <= 4  # class token, registers and the mean
    labels = torch.zeros(3, dtype=torch.int64)
    batch = Batch(7, tokens, labels, keys_for(places=rows))
    images = torch.from_numpy(feed.material.images[rows])
    expected = feed.model.eval()(feed.material.preprocessing.normalize(images))
    found = feed.network(feed.prepare(batch))
    torch.testing.assert_close(found, expected)
    logits = feed.logits(feed.network, rows)
    torch.testing.assert_close(torch.from_numpy(logits), expected.detach())


def test_features_are_computed_once_and_found_again(tmp_path, monkeypatch) -> None:
    rows = np.arange(NUM)
    first = _feed(tmp_path)
    tokens = first.take(rows, epoch=0)
    again = _feed(tmp_path)
    monkeypatch.setattr(
        FeatureFeed, "_fill", lambda *_: pytest.fail("they are in the cache")
    )
    assert torch.equal(again.take(rows, epoch=5), tokens)
    monkeypatch.undo()
    other = _feed(tmp_path)
    with torch.no_grad():
        other.model.blocks[0].attn.qkv.weight.add_(0.1)
    assert not torch.equal(other.take(rows, epoch=0), tokens)


def test_what_the_head_learned_does_not_rename_the_features(tmp_path) -> None:
    feed = _feed(tmp_path)
    before = feed._key(0)
    with torch.no_grad():
        feed.model.head.weight.add_(1.0)
    assert feed._key(0) == before


def test_views_take_turns_and_the_first_is_the_slice_as_it_is(tmp_path) -> None:
    feed, plain = _feed(tmp_path, views=3), _feed(tmp_path, views=1)
    rows = np.arange(NUM)
    views = [feed.take(rows, epoch) for epoch in range(4)]
    assert torch.equal(views[0], plain.take(rows, 9))
    assert torch.equal(views[3], views[0])
    assert not torch.equal(views[1], views[0])
    assert not torch.equal(views[1], views[2])
    steady = _feed(tmp_path, views=3, augment=False)
    assert torch.equal(steady.take(rows, 1), steady.take(rows, 2))


@pytest.mark.parametrize("what", ["none", "1-blocks"])
def test_a_backbone_that_learns_is_fed_slices(tmp_path, what) -> None:
    assert isinstance(_feed(tmp_path, what=what), SliceFeed)
