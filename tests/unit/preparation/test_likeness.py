"""Noise, photographs and upside-down heads are told from the slices of a training."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vit_dementia.errors import CheckpointError
from vit_dementia.preparation.contrast import Contrast, facts_of
from vit_dementia.preparation.likeness import (
    NEGATIVE,
    OTHER_GRAYS,
    TURNED,
    UNLIKE,
    Likeness,
)

SHA = "0" * 64


def heads(count, *, seed, size=(52, 44)):
    """Return discs with a bright patch in front, each a little different."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    images = np.zeros((count, 1, *size), np.uint8)
    for image in images:
        middle = np.array(size) / 2 + rng.normal(0, 1, 2)
        radius = 0.4 * min(size) * rng.uniform(0.9, 1.1)
        away = np.hypot(rows - middle[0], columns - middle[1])
        gray = np.where(away < radius, 120.0, 0.0)
        gray[(away < radius) & (rows < middle[0] - radius / 3)] = 200.0
        image[0] = np.clip(gray + rng.normal(0, 8, size), 0, 255)
    return images


THREE = heads(3, seed=7)


@pytest.fixture(scope="module")
def likeness():
    return Likeness.of(heads(40, seed=0))


def test_other_people_are_alike(likeness) -> None:
    assert likeness.reasons(heads(40, seed=1)) == [""] * 40


def test_noise_and_another_picture_are_unlike(likeness) -> None:
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 255, (5, 1, 52, 44), np.uint8)
    scene = np.broadcast_to(np.linspace(255, 0, 52)[:, None], (1, 1, 52, 44))
    assert likeness.reasons(noise) == [UNLIKE] * 5
    assert likeness.reasons(scene.astype(np.uint8)) == [UNLIKE]


def test_a_head_upside_down_is_named_and_its_mirror_image_is_not(likeness) -> None:
    images = heads(20, seed=3)
    assert "upside down" in likeness.telling
    told = likeness.reasons(images[:, :, ::-1])
    assert set(told) == {TURNED.format("upside down")}
    assert likeness.reasons(images[..., ::-1]) == [""] * 20


def test_a_head_of_the_other_contrast_is_told() -> None:
    def ringed(images, values):  # a rim as bright as ever, with that inside
        told = np.select([images > 160, images > 60], values, images.astype(int))
        return told.astype(np.uint8)

    known = Likeness.of(ringed(heads(20, seed=3), (240, 160)))
    assert NEGATIVE in known.telling
    assert known.reasons(ringed(heads(20, seed=4), (240, 160))) == [""] * 20
    swapped = known.reasons(ringed(heads(20, seed=4), (170, 200)))
    assert all(swapped)
    assert TURNED.format(NEGATIVE) in swapped


def test_where_training_slices_lie_both_ways_no_way_is_wrong() -> None:
    images = heads(40, seed=4)
    images[::2] = images[::2, :, ::-1]
    both = Likeness.of(images)
    assert set(both.telling) <= {NEGATIVE}
    assert both.reasons(heads(5, seed=5)[:, :, ::-1]) == [""] * 5


@given(gain=st.floats(0.3, 1.0), offset=st.integers(0, 40))
def test_brightness_and_contrast_do_not_matter(likeness, gain, offset) -> None:
    changed = (THREE * gain * 0.8 + offset).astype(np.uint8)
    assert likeness.reasons(changed) == [""] * 3


def test_few_gray_values_move_a_scan_little(likeness) -> None:
    """One rank alone would jump by a value, and all facts of a dark scan with it."""
    away = [one.distance for one in likeness.judge(THREE)]
    for values in range(52, 200, 3):
        dark = np.round(THREE * (values / 255)).astype(np.uint8)
        now = [one.distance for one in likeness.judge(dark)]
        np.testing.assert_allclose(now, away, atol=0.25)


def test_slices_smaller_than_the_grid_are_compared_too() -> None:
    small = Likeness.of(heads(10, seed=8, size=(12, 10)))
    assert small.reasons(heads(4, seed=9, size=(12, 10))) == [""] * 4


def test_what_is_written_is_read_back(likeness) -> None:
    told = json.loads(json.dumps(likeness.to_dict(model=SHA), allow_nan=False))
    assert Likeness.from_dict(told, model=SHA, where="x") == likeness


@pytest.mark.parametrize(
    "change",
    [
        {"format": 1},
        {"model": "1" * 64},
        {"picture": [1.0]},
        {"lowest": None},
        {"directions": [[1.0]]},
        {"farthest": "far"},
        {"farthest": 0.0},
        {"lowest": 1.0},
        {"contrast": {"middle": [0.0], "weights": [[0.0]], "limit": 2.0}},
        {"contrast": None},
    ],
)
def test_what_is_damaged_or_of_other_weights_is_refused(likeness, change) -> None:
    told = likeness.to_dict(model=SHA) | change
    with pytest.raises(CheckpointError, match=r"likeness\.json"):
        Likeness.from_dict(told, model=SHA, where="likeness.json")


def folded(count, *, seed, values=(60, 140, 220)):
    """Return heads of fluid, gray and white matter, of these values and many shapes."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:52, :44]
    images = np.zeros((count, 1, 52, 44), np.uint8)
    for image in images:
        angle = np.arctan2(rows - 26, columns - 22)
        edge = 17 * (1 + 0.1 * np.cos(rng.integers(2, 6) * angle + rng.uniform(0, 6)))
        away = np.hypot(rows - 26, columns - 22)
        hollow = np.hypot(rows - rng.uniform(18, 34), columns - rng.uniform(16, 28))
        tissue = np.select(
            [away > edge, (away > edge - 2) | (hollow < 6), away > edge - 6],
            [0, *values[:2]],
            values[2],
        )
        image[0] = np.clip(tissue + rng.normal(0, 6, tissue.shape), 0, 255)
    return images


def test_a_head_whose_fluid_is_bright_is_told_whatever_its_shape() -> None:
    known = Likeness.of(folded(60, seed=10), np.repeat(np.arange(20), 3))
    assert known.reasons(folded(60, seed=11)) == [""] * 60
    t2 = known.judge(folded(30, seed=12, values=(230, 150, 90)))
    assert all(one.reason and one.distance > 1 for one in t2)
    assert OTHER_GRAYS in {one.reason for one in t2}


def test_the_distance_is_above_1_where_a_slice_is_refused(likeness) -> None:
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 255, (5, 1, 52, 44), np.uint8)
    for one in likeness.judge(np.concatenate([heads(20, seed=13), noise])):
        assert (one.distance > 1) == (one.reason == UNLIKE)


def test_a_distance_is_that_of_mahalanobis() -> None:
    from scipy.spatial.distance import mahalanobis

    facts = facts_of(heads(200, seed=14))
    learned = Contrast.of(facts, np.arange(200), parts=5)
    apart = np.diag(facts.var(axis=0))  # as if no two facts went together
    shrunk = 0.9 * np.cov(facts.T, bias=True) + 0.1 * apart + 0.02**2 * np.eye(14)
    inverse = np.linalg.inv(shrunk)
    theirs = [mahalanobis(one, facts.mean(axis=0), inverse) for one in facts[:5]]
    ours = learned.distance(facts[:5]) * learned.limit
    np.testing.assert_allclose(ours, theirs, rtol=1e-2)


def test_few_people_are_beyond_the_limit_however_many_trained() -> None:
    rng = np.random.default_rng(15)
    for people in (8, 40, 150):
        beyond = []
        for _ in range(10):
            mixing = rng.normal(size=(14, 14))
            person = rng.normal(size=(people + 200, 1, 14)) @ mixing
            slices = person + 0.5 * rng.normal(size=(people + 200, 3, 14))
            mine = slices[:people].reshape(-1, 14)
            known = Contrast.of(mine, np.repeat(np.arange(people), 3), parts=5)
            away = known.distance(slices[people:].reshape(-1, 14)).reshape(-1, 3)
            beyond.append(np.mean(away.max(axis=1) > 1))
        assert np.max(beyond) <= 0.03  # of each training, not on average alone


def test_whoever_is_left_out_is_left_out_whole() -> None:
    """Else slices of one person vouch for each other, and the limit is too low."""
    rng = np.random.default_rng(16)
    person = np.repeat(rng.normal(size=(30, 14)), 5, axis=0)
    facts = person + 0.01 * rng.normal(size=person.shape)
    whole = Contrast.of(facts, np.repeat(np.arange(30), 5), parts=5)
    torn = Contrast.of(facts, np.arange(150), parts=5)
    assert whole.limit > 1.2 * torn.limit


@pytest.mark.slow  # reads 600 pictures out of an archive
def test_real_slices_are_alike_and_turned_ones_are_not(shared_data) -> None:
    import io
    import tarfile

    from PIL import Image

    from vit_dementia.preparation.slices import SlicePreprocessing

    prepare, images = SlicePreprocessing(size=(104, 88)), []
    packed = shared_data / "kaggle_alzheimer_4class" / "kaggle4_dev.tar.gz"
    with tarfile.open(packed) as archive:
        for number, member in enumerate(archive):
            if member.name.endswith(".jpg") and number % 8 == 0:
                file = archive.extractfile(member)
                assert file is not None
                with Image.open(io.BytesIO(file.read())) as image:
                    gray = np.asarray(image.convert("L"), np.float32)
                images.append(prepare(gray[None]))
    shown = np.stack(images)
    half = Likeness.of(shown[::2])
    assert sum(map(bool, half.reasons(shown[1::2]))) == 0
    negative = np.where(shown > 15, 240 - np.minimum(shown, 230), 0).astype(np.uint8)
    assert all(half.reasons(negative[1::2]))  # dark white matter, bright fluid
    turned = half.reasons(shown[1::2, :, ::-1])
    assert np.mean([TURNED.format("upside down") == one for one in turned]) > 0.98


def test_volumes_are_looked_at_from_the_side() -> None:
    def volumes(count, *, seed):
        flat = heads(count, seed=seed, size=(52, 44))
        rng = np.random.default_rng(seed)
        thick = np.repeat(flat[..., None], 6, axis=4).astype(float)
        thick += rng.normal(0, 20, thick.shape)  # noise that the mean takes away
        return np.clip(thick, 0, 255).astype(np.uint8)

    known = Likeness.of(volumes(20, seed=0))
    new = volumes(20, seed=1)
    assert known.reasons(new) == [""] * 20
    assert known.reasons(new[..., ::-1]) == [""] * 20  # left and right look the same
    assert set(known.reasons(new[:, :, ::-1])) == {TURNED.format("upside down")}
    noise = np.random.default_rng(2).integers(0, 255, new.shape, np.uint8)
    assert set(known.reasons(noise)) == {UNLIKE}
