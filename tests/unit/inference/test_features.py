"""Features of a training: what the head reads, kept and read back or refused."""

import numpy as np
import pytest
import safetensors.numpy
import torch

from vit_dementia.errors import CheckpointError
from vit_dementia.inference.features import (
    FILE,
    Features,
    features_of,
    features_of_scans,
    unit,
)
from vit_dementia.models.create import create_model
from vit_dementia.preparation.slices import SlicePreprocessing

MODEL = "a" * 64


def _network(image_size, **settings):
    return create_model(
        "ViT-Ti/8",
        num_classes=3,
        image_size=image_size,
        channels=1,
        embed_dim=12,
        depth=2,
        num_heads=2,
        **settings,
    ).eval()


@pytest.mark.parametrize("pooling", ["cls", "mean", "map"])
def test_the_head_reads_the_feature(pooling) -> None:
    torch.manual_seed(0)
    network = _network((16, 24), pooling=pooling)
    torch.nn.init.normal_(network.head.weight)
    images = torch.randn(4, 1, 16, 24)
    with torch.no_grad():
        read = network.head(network.pre_logits(features_of(network, images)))
        torch.testing.assert_close(read, network(images))


def test_a_scan_has_the_mean_of_its_slices_whatever_the_batch() -> None:
    torch.manual_seed(0)
    network = _network((16, 16))
    way = SlicePreprocessing(size=(16, 16), mean=0.5, std=0.25)
    images = np.random.default_rng(0).integers(0, 255, (150, 1, 16, 16), np.uint8)
    rows, scans = np.arange(10, 150), np.arange(140) % 5 * 3
    found = features_of_scans(network, images, rows, scans, way)
    with torch.no_grad():
        each = [
            features_of(network, way.normalize(torch.from_numpy(image[None])))[0]
            for image in images[rows]
        ]
    expected = [
        np.mean([v for v, s in zip(each, scans, strict=True) if s == scan], axis=0)
        for scan in (0, 3, 6, 9, 12)
    ]
    np.testing.assert_allclose(found, unit(np.stack(expected)), atol=1e-5)


def test_what_is_kept_comes_back_and_names_nobody(tmp_path) -> None:
    values = unit(np.random.default_rng(0).normal(size=(5, 8)))
    Features(values, np.array([9, 2, 4, 0, 1])).write(tmp_path, model=MODEL)
    found = Features.read(tmp_path, model=MODEL, num_lines=10)
    np.testing.assert_allclose(found.values, values, atol=1e-3)
    assert found.lines.tolist() == [9, 2, 4, 0, 1]
    assert set(safetensors.numpy.load_file(tmp_path / FILE)) == {"features", "lines"}


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.unlink(), "is not there"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "is damaged"),
        (lambda path: path.write_bytes(b"nothing"), "is damaged"),
        (
            lambda path: path.write_bytes(
                path.read_bytes().replace(b'"format":"1"', b'"format":"2"')
            ),
            "found format 2; needs 1",
        ),
    ],
)
def test_features_that_cannot_be_used_are_refused(tmp_path, spoil, told) -> None:
    values = unit(np.ones((2, 8)))
    Features(values, np.array([0, 1])).write(tmp_path, model=MODEL)
    spoil(tmp_path / FILE)
    with pytest.raises(CheckpointError, match=told):
        Features.read(tmp_path, model=MODEL, num_lines=2)


def test_features_of_other_weights_or_another_table_are_refused(tmp_path) -> None:
    Features(unit(np.ones((2, 8))), np.array([0, 7])).write(tmp_path, model=MODEL)
    with pytest.raises(CheckpointError, match="belongs to other weights"):
        Features.read(tmp_path, model="b" * 64, num_lines=8)
    with pytest.raises(CheckpointError, match="no feature for each scan"):
        Features.read(tmp_path, model=MODEL, num_lines=7)
