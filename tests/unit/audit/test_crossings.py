from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.metrics import adjusted_rand_score

from vit_dementia.audit.grouping import group, look_alikes, verify
from vit_dementia.audit.pictures import Pictures, look_at
from vit_dementia.data.cohort import Cohort

PEOPLE, SHAPE, AT = 30, (72, 88, 80), (36, 44, 40)
PLANES = ("axial", "coronal", "sagittal")


def cut(head: np.ndarray) -> list[np.ndarray]:
    """Return one slice of each plane, some turned round as other programs do."""
    z, y, x = AT
    return [head[z, ::-1], head[:, y], head[:, :, x][:, ::-1]]


def write_heads(folder: Path, *, shake: int = 0) -> Path:
    """Write a slice of each plane of heads in one frame, or each in its own."""
    rng = np.random.default_rng(0)
    z, y, x = (np.linspace(-1, 1, num) for num in SHAPE)
    inside = (z[:, None, None] / 0.8) ** 2 + (y[:, None] / 0.9) ** 2 + (x / 0.8) ** 2
    common = ndimage.gaussian_filter(rng.normal(size=SHAPE), 4)
    for number in range(PEOPLE):
        own = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.5)
        folds = 120 + 25 * common / common.std() + 30 * own / own.std()
        head = np.where(inside < 1, folds, 0)
        for plane, slice_2d in zip(PLANES, cut(head), strict=True):
            moved = rng.uniform(-shake, shake, size=2)
            file = folder / "CN" / f"sub-{number:02}_{plane}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.clip(ndimage.shift(slice_2d, moved, order=1), 0, 255).astype(
                np.uint8
            )
            Image.fromarray(pixels).save(file)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Pictures:
    heads = write_heads(tmp_path_factory.mktemp("planes"))
    return look_at(Cohort.from_path(heads, as_found=True), jobs=1)


@pytest.fixture(scope="module")
def alike(pictures):
    return look_alikes(pictures)


@pytest.fixture(scope="module")
def who(pictures) -> np.ndarray:
    return pictures.cohort.table["participant_id"].to_numpy(str)


def test_people_are_told_by_the_lines_in_which_their_planes_meet(
    pictures, alike, who
) -> None:
    found = group(pictures, alike=alike)
    assert found.certain
    assert adjusted_rand_score(who, found.participant) == 1
    assert found.estimated_error < 0.05
    assert 0.9 < found.confidence.min() <= 1
    assert (found.slice_order == -1).all()


def test_right_ids_are_not_accused(pictures, alike, who) -> None:
    assert not verify(pictures, who.tolist(), alike=alike)


def test_one_plane_under_another_id_is_found(pictures, alike, who) -> None:
    ids = who.astype("<U12")
    rows = np.flatnonzero(who == who[0])
    ids[rows[1]] = "else"
    found = verify(pictures, ids.tolist(), alike=alike)
    assert [pair[:2] for pair in found.same_person] == [("else", str(who[0]))]
    assert not found.mixed


@pytest.mark.parametrize("planes", [1, 3])
def test_planes_of_two_people_under_one_id_are_found(
    pictures, alike, who, planes
) -> None:
    one, other = np.unique(who)[:2]
    ids = who.copy()
    ids[np.flatnonzero(who == other)[:planes]] = one
    found = verify(pictures, ids.tolist(), alike=alike)
    assert one in [accused for accused, _ in found.mixed]


def test_where_heads_lie_in_no_common_frame_nothing_is_told(tmp_path) -> None:
    heads = write_heads(tmp_path, shake=8)
    pictures = look_at(Cohort.from_path(heads, as_found=True), jobs=1)
    found = look_alikes(pictures)
    assert found.crossings is None
    assert not group(pictures, alike=found).certain


def test_lines_that_contradict_each_other_are_no_answer(pictures, alike) -> None:
    rng = np.random.default_rng(0)
    first, *others = alike.crossings.meetings
    shuffled = replace(first, excess=rng.permutation(first.excess))
    broken = replace(alike.crossings, meetings=(shuffled, *others))
    found = group(pictures, alike=replace(alike, crossings=broken))
    assert not found.certain
    assert "contradict each other" in found.method
    assert not found.confidence.any()
