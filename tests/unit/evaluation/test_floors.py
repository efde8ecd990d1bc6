"""What needs no Vision Transformer."""

from __future__ import annotations

import tarfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.model_selection import StratifiedKFold

from vit_dementia.evaluation import floors, metrics
from vit_dementia.evaluation.folds import auroc_within_folds
from vit_dementia.evaluation.metrics import UndefinedScoreError

KAGGLE = ["NonDemented", "VeryMildDemented", "MildDemented", "ModerateDemented"]


def test_majority_scores_its_share_and_ranks_nobody():
    label = np.array([0, 1, 1, 2])
    told = floors.majority(label, 4, num_classes=4)
    assert metrics.accuracy(label, told.argmax(axis=1)) == 0.5
    assert metrics.balanced_accuracy(label, told.argmax(axis=1)) == pytest.approx(1 / 3)
    assert metrics.auroc(label > 0, 1 - told[:, 0]) == 0.5


def test_stratified_chance_tells_classes_as_often_as_they_stand_in_training():
    label = np.repeat([0, 1, 2], [60, 30, 10])
    rng = np.random.default_rng(0)
    told = floors.stratified_chance(label, 20_000, num_classes=3, rng=rng)
    np.testing.assert_allclose(told.mean(axis=0), [0.6, 0.3, 0.1], atol=0.01)
    assert set(told.max(axis=1)) == {1.0}


@given(st.permutations(range(12)))
def test_features_ignore_the_order_of_slices(order):
    images = np.random.default_rng(0).integers(256, size=(12, 60, 40))
    who = [f"sub-{i % 3}" for i in range(12)]
    ids, features = floors.mean_and_spread(images, who)
    mixed_ids, mixed = floors.mean_and_spread(images[order], [who[i] for i in order])
    assert mixed_ids == ids
    np.testing.assert_allclose(mixed, features)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((52, 44), (52, 44)), ((208, 176), (52, 44)), ((224, 224), (44, 44))],
)
def test_shrinking_averages_whole_blocks(shape, expected):
    images = np.random.default_rng(0).random((2, *shape))
    small = floors.shrink(images)
    assert small.shape == (2, *expected)
    block = -(-max(shape) // 52)
    assert small[1, 0, 1] == pytest.approx(images[1, :block, block : 2 * block].mean())


def test_volumes_are_shrunk_along_all_axes():
    volumes = np.random.default_rng(0).random((2, 109, 96, 20))
    small = floors.shrink(volumes)
    assert small.shape == (2, 36, 32, 6)
    np.testing.assert_allclose(small[1, 2, 3, 4], volumes[1, 6:9, 9:12, 12:15].mean())
    told = floors.nearest_neighbor(volumes, np.array([0, 1]), volumes, num_classes=2)
    assert told.tolist() == [[1, 0], [0, 1]]


def test_a_strip_thinner_than_a_block_still_has_a_pixel():
    assert floors.shrink(np.ones((1, 520, 3))).shape == (1, 52, 1)


def test_the_linear_floor_finds_a_linear_difference_and_misses_noise():
    rng = np.random.default_rng(0)
    label = np.arange(200) % 2
    noise = rng.normal(size=(200, 50))
    signal = noise + 3 * np.outer(label, np.ones(50)) / np.sqrt(50)
    for features, low, high in [(signal, 0.9, 1.0), (noise, 0.3, 0.7)]:
        told = floors.linear(features[:100], label[:100], features[100:], num_classes=2)
        np.testing.assert_allclose(told.sum(axis=1), 1)
        assert low <= metrics.auroc(label[100:] > 0, told[:, 1]) <= high


def test_a_class_nobody_taught_gets_no_probability():
    features = np.random.default_rng(0).normal(size=(20, 4))
    told = floors.linear(features, np.arange(20) % 2 * 2, features, num_classes=4)
    assert (told[:, [1, 3]] == 0).all()


def test_nobody_to_learn_from_is_said():
    with pytest.raises(UndefinedScoreError, match="nobody"):
        floors.majority(np.zeros(0, int), 3, num_classes=2)
    with pytest.raises(UndefinedScoreError, match="one class"):
        floors.linear(np.eye(3), np.zeros(3, int), np.eye(3), num_classes=2)


def test_a_nearest_neighbor_knows_its_own_images():
    images = np.random.default_rng(0).integers(256, size=(30, 20, 20)).astype(np.uint8)
    label = np.arange(30) % 3
    told = floors.nearest_neighbor(images, label, images, num_classes=3)
    assert (told.argmax(axis=1) == label).all()


@pytest.fixture(scope="module")
def kaggle_slices(shared_data, tmp_path_factory):
    """Give the real slices: images, participants and labels."""
    source = shared_data / "kaggle_alzheimer_4class"
    folder = tmp_path_factory.mktemp("kaggle4")
    with tarfile.open(source / "kaggle4_dev.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    table = pd.read_csv(source / "slices.csv")
    images = np.stack([np.asarray(Image.open(folder / path)) for path in table.path])
    label = table.kaggle_class.map(KAGGLE.index).to_numpy()
    return images, table.subject.tolist(), label


@pytest.mark.slow
def test_on_real_slices_the_linear_floor_is_the_known_one(kaggle_slices):
    images, who, slice_label = kaggle_slices
    ids, features = floors.mean_and_spread(images, who)
    label_of = dict(zip(who, slice_label, strict=True))
    label = np.array([label_of[name] for name in ids])
    told, fold = np.zeros((150, 4)), np.zeros(150, int)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for number, (train, test) in enumerate(folds.split(features, label.clip(max=2))):
        told[test] = floors.linear(
            features[train], label[train], features[test], num_classes=4
        )
        fold[test] = number
    assert 0.75 < auroc_within_folds(label > 0, 1 - told[:, 0], fold) < 0.81


@pytest.mark.slow
def test_on_real_slices_a_nearest_neighbor_shows_what_a_random_split_is_worth(
    kaggle_slices,
):
    images, who, label = kaggle_slices
    rng = np.random.default_rng(0)
    by_image = rng.permutation(len(images)) < len(images) // 5
    chosen = rng.permutation(sorted(set(who)))[:30]
    for is_test, low, high in [
        (by_image, 0.99, 1.0),
        (np.isin(who, chosen), 0.35, 0.65),
    ]:
        told = floors.nearest_neighbor(
            images[~is_test], label[~is_test], images[is_test], num_classes=4
        )
        score = metrics.accuracy(label[is_test], told.argmax(axis=1))
        assert low <= score <= high
