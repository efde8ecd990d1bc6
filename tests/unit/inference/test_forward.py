from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from sklearn.metrics import log_loss

from vit_dementia.inference import forward
from vit_dementia.inference.compute import make_fabric
from vit_dementia.inference.forward import logits_of, mean_cross_entropy, softmax
from vit_dementia.models import create_model
from vit_dementia.preparation.slices import SlicePreprocessing

logits = st.lists(
    st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3),
    min_size=1,
    max_size=6,
).map(lambda rows: np.array(rows, np.float32))


@given(logits)
def test_softmax_is_scipys_and_sums_to_one(values) -> None:
    found = softmax(values)
    np.testing.assert_allclose(
        found, special.softmax(values.astype(np.float64), axis=1), rtol=1e-12
    )
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


@given(logits)
def test_the_loss_is_scikit_learns(values) -> None:
    labels = np.arange(len(values)) % 3
    expected = log_loss(labels, softmax(values), labels=[0, 1, 2])
    assert mean_cross_entropy(values, labels) == pytest.approx(expected, rel=1e-6)


def test_rows_come_back_in_their_order_whatever_the_batches(monkeypatch) -> None:
    network = create_model(
        num_classes=3, image_size=(8, 8), patch_size=4, embed_dim=8, depth=1,
        num_heads=2, dropout=0.5,
    )  # fmt: skip
    network.head.weight.data.normal_()
    network.train()
    images = np.random.default_rng(0).integers(0, 256, (9, 1, 8, 8)).astype(np.uint8)
    preprocessing = SlicePreprocessing(size=(8, 8), mean=0.5, std=0.25)
    rows = np.array([7, 0, 3, 3, 8])
    monkeypatch.setattr(forward, "BATCH_SIZE", 2)
    counts: list[int] = []
    found = logits_of(
        network, images, rows, preprocessing, make_fabric("cpu", "fp32"),
        advance=counts.append,
    )  # fmt: skip
    assert network.training  # left as it was
    assert counts == [2, 2, 1]
    network.eval()
    expected = network(preprocessing.normalize(torch.from_numpy(images[rows])))
    torch.testing.assert_close(torch.from_numpy(found), expected.detach())
