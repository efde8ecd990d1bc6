from __future__ import annotations

import numpy as np
import pytest
import torch

from vit_dementia.evaluation.calibrated import Calibration
from vit_dementia.inference.compute import make_fabric
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.inference.reader import Reader
from vit_dementia.models import create_model
from vit_dementia.preparation.slices import SlicePreprocessing

VISIBLE = (1, 2)


@pytest.fixture
def model() -> SavedModel:
    torch.manual_seed(0)
    network = create_model(
        num_classes=3,
        image_size=(8, 8),
        patch_size=4,
        embed_dim=8,
        depth=1,
        num_heads=2,
    )
    network.head.weight.data.normal_()
    return SavedModel(
        network=network.seeing(VISIBLE).eval(),
        classes=("a", "b", "c"),
        ordered=True,
        preprocessing=SlicePreprocessing(size=(8, 8), mean=0.5, std=0.25),
        facts={},
        calibration=Calibration.none(("a", "b", "c"), "not fitted"),
        sha256="",
    )


def test_a_slice_that_does_not_fit_is_read_whole_and_told(model) -> None:
    images = np.zeros((4, 1, 8, 8), np.uint8)
    images[:, :, :4, 4:] = 200  # patch 1
    images[2, :, 4:, 4:] = 200  # patch 3, which is not read
    rows = np.array([3, 2, 0])
    counts: list[int] = []
    found = Reader(model, make_fabric("cpu", "fp32"))(
        images, rows, advance=counts.append
    )
    assert found.fits.tolist() == [True, False, True]
    assert sum(counts) == 3
    whole = model.network.seeing(None)
    inputs = model.preprocessing.normalize(torch.from_numpy(images[rows]))
    expected = torch.stack(
        [
            model.network(inputs)[0],
            whole(inputs)[1],
            model.network(inputs)[2],
        ]
    )
    torch.testing.assert_close(torch.from_numpy(found.logits), expected.detach())


def test_a_network_that_reads_all_patches_finds_nothing_odd(model) -> None:
    images = np.random.default_rng(0).integers(0, 255, (3, 1, 8, 8)).astype(np.uint8)
    seeing_all = SavedModel(
        **{**vars(model), "network": model.network.seeing(None).eval()}
    )
    found = Reader(seeing_all, make_fabric("cpu", "fp32"))(images, np.arange(3))
    assert found.fits.all()
