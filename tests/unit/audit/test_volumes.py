from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from sklearn.metrics import adjusted_rand_score

from vit_dementia.audit.grouping import group, look_alikes, verify
from vit_dementia.audit.pictures import SIDE, Pictures
from vit_dementia.audit.volumes import further_planes
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.storage import frame
from vit_dementia.data.volumes import Volume

PEOPLE, REPEATS = 40, 16


@pytest.fixture(scope="module")
def who() -> np.ndarray:
    """Return who is on each volume: the first people were scanned twice."""
    return np.array([f"p{n:02}" for n in [*range(PEOPLE), *range(REPEATS)]])


@pytest.fixture(scope="module")
def pictures(who) -> Pictures:
    """Return three planes of each volume; a repeat is noisier and a little blurred."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    inside = (rows / 0.85) ** 2 + (columns / 0.7) ** 2 < 1

    def folds(width: float) -> np.ndarray:
        noise = ndimage.gaussian_filter(rng.normal(size=(3, SIDE, SIDE)), (0, 1, 1))
        smooth = ndimage.gaussian_filter(noise, (0, width, width))
        return smooth / smooth.std()

    common = folds(2)
    own = {one: folds(1) for one in sorted(set(who))}
    seen = []
    for number, one in enumerate(who):
        blur = rng.uniform(0, 0.7) + 0.3 * (number >= PEOPLE)
        head = ndimage.gaussian_filter(20 * common + 25 * own[one], (0, blur, blur))
        head = 120 + head + 4 * rng.normal(size=head.shape)
        seen.append(np.where(inside, np.clip(head, 0, 255), 0).astype(np.uint8))
    planes = np.array(seen)
    cells = {
        "path": [f"{n:02}.nii.gz" for n in range(len(who))],
        "label": ["CN", "AD"] * (len(who) // 2),
    }
    cohort = Cohort(root=Path(), table=frame(cells), classes=("CN", "AD"), ordered=True)
    return Pictures(
        cohort=cohort,
        thumbnails=planes[:, 0],
        digests=tuple(map(str, range(len(who)))),
        facts=pd.DataFrame(index=range(len(who))),
        problems=(),
        planes=planes[:, 1:],
    )


@pytest.fixture(scope="module")
def alike(pictures):
    return look_alikes(pictures)


def test_repeats_of_one_head_are_told_from_strangers(pictures, alike, who) -> None:
    found = group(pictures, alike=alike)
    assert found.certain
    assert adjusted_rand_score(who, found.participant) == 1
    assert len(set(found.participant)) == PEOPLE
    assert found.estimated_error < 0.1
    assert found.confidence.max() < 1
    assert not alike.neighbors.any()


def test_right_ids_are_not_accused(pictures, alike, who) -> None:
    assert not verify(pictures, who.tolist(), alike=alike)


def test_one_person_under_two_ids_and_two_under_one_are_found(
    pictures, alike, who
) -> None:
    ids = who.astype("<U8")
    ids[PEOPLE] = "else"  # the second visit of the first person
    ids[PEOPLE - 1] = ids[1]  # a stranger under the id of the second
    found = verify(pictures, ids.tolist(), alike=alike)
    assert [pair[:2] for pair in found.same_person] == [("else", "p00")]
    assert [one for one, _ in found.mixed] == ["p01"]


def test_without_repeats_it_cannot_be_told_what_they_look_like(pictures) -> None:
    rows = np.arange(PEOPLE)
    once = replace(
        pictures,
        cohort=pictures.cohort.select(rows),
        thumbnails=pictures.thumbnails[rows],
        digests=pictures.digests[:PEOPLE],
        facts=pictures.facts.iloc[rows],
        planes=None if pictures.planes is None else pictures.planes[rows],
    )
    found = group(once)
    assert not found.certain
    assert found.method.startswith("cannot tell: 0 pairs of volumes")
    assert not found.confidence.any()


def test_a_volume_is_cut_in_two_further_planes() -> None:
    side = np.linspace(-1, 1, 90)
    ball = (side**2)[:, None, None] + (side**2)[:, None] + side**2 < 0.8
    voxels = np.where(ball, np.linspace(100, 200, 90), 0).astype(np.float32)
    coronal, sagittal = further_planes(Volume(voxels, np.diag([2.0, 2.0, 2.0, 1.0])))
    assert (coronal.shape, sagittal.shape) == ((96, 96), (96, 112))
    assert coronal.max() > 0
    assert sagittal.max() > 0
