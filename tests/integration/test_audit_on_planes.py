"""The audit of one slice of each plane, held to who is really who.

Nothing but pixels reaches the audit, and the ids where it is to verify them.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from vit_dementia.audit.grouping import group, look_alikes, verify
from vit_dementia.audit.pictures import look_at
from vit_dementia.data.cohort import Cohort

PLANTED = 12


@pytest.fixture(scope="module")
def seen(shared_data, tmp_path_factory):
    """Return the pictures, what looks alike, and who and which plane each shows."""
    folder = tmp_path_factory.mktemp("planes")
    with tarfile.open(shared_data / "oasis1_3plane" / "oasis1_3plane_dev.tar.gz") as f:
        f.extractall(folder, filter="data")
    table = pd.read_csv(shared_data / "oasis1_3plane" / "images.csv")
    pictures = look_at(Cohort.from_path(folder, as_found=True))
    names = [Path(path).name for path in pictures.cohort.table["path"]]
    truth = table.set_index(table["path"].map(lambda path: Path(path).name)).loc[names]
    plane = np.array([name[-5] for name in names])
    return pictures, look_alikes(pictures), truth["subject"].to_numpy(str), plane


def test_people_are_told_across_planes_and_never_surer_than_right(seen) -> None:
    pictures, alike, who, plane = seen
    found = group(pictures, alike=alike)
    assert found.certain
    across = adjusted_rand_score(who, found.participant)
    assert across >= 0.99  # measured: 1.000
    for one in np.unique(plane):
        part = plane == one
        told = np.array(found.participant)[part]
        assert adjusted_rand_score(who[part], told) >= 0.99  # measured: 1.000
    assert found.confidence.mean() <= across
    assert found.estimated_error <= 0.01


def test_right_ids_are_not_accused(seen) -> None:
    pictures, alike, who, _ = seen
    found = verify(pictures, who.tolist(), alike=alike)
    accused = {one for pair in found.same_person for one in pair[:2]}
    accused |= {one for one, _ in found.mixed}
    assert len(accused) <= 0.01 * len(set(who))  # measured: nobody


def test_planted_twins_and_mixed_ids_are_found(seen) -> None:
    pictures, alike, who, plane = seen
    rng = np.random.default_rng(0)
    chosen = rng.permutation(np.unique(who))[: 3 * PLANTED].reshape(3, PLANTED)
    ids, moved = who.astype("<U20"), rng.choice(np.unique(plane), PLANTED)
    for one, away in zip(chosen[0], moved, strict=True):  # one person, two ids
        ids[(who == one) & (plane == away)] = f"{one}-twin"
    for one, other in zip(chosen[1], chosen[2], strict=True):  # two people, one id
        ids[who == other] = one
    found = verify(pictures, ids.tolist(), alike=alike)
    twins = {pair[:2] for pair in found.same_person}
    mixed = {one for one, _ in found.mixed}
    assert twins == {(str(one), f"{one}-twin") for one in chosen[0]}
    assert mixed == set(chosen[1].tolist())
