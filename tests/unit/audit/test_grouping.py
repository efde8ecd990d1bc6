from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score

from vit_dementia.audit.grouping import group, look_alikes, verify
from vit_dementia.audit.leaks import leaks_across
from vit_dementia.audit.pictures import look_at
from vit_dementia.data.cohort import Cohort


@pytest.fixture(scope="module")
def alike(slab_pictures):
    return look_alikes(slab_pictures)


@pytest.fixture
def who(slab_pictures) -> np.ndarray:
    return slab_pictures.cohort.table["participant_id"].to_numpy(str)


@pytest.fixture
def height(slab_pictures) -> np.ndarray:
    return slab_pictures.cohort.table["slice"].to_numpy(int)


def some(pictures, rows):
    return replace(
        pictures,
        cohort=pictures.cohort.select(rows),
        thumbnails=pictures.thumbnails[rows],
        digests=tuple(pictures.digests[row] for row in rows),
        facts=pictures.facts.iloc[rows].reset_index(drop=True),
    )


def test_people_are_told_from_their_pixels(slab_pictures, alike, who) -> None:
    found = group(slab_pictures, alike=alike)
    assert found.certain
    assert adjusted_rand_score(who, found.participant) >= 0.99
    assert found.estimated_error <= 0.05
    # The last slice of a head may stand alone, and then says that it is unsure.
    alone = np.unique(found.participant, return_inverse=True, return_counts=True)
    is_alone = alone[2][alone[1]] == 1
    assert is_alone.sum() <= 2
    assert found.confidence[~is_alone].min() > 0.9
    assert (found.confidence[is_alone] < 0.9).all()


def test_slices_come_in_order(slab_pictures, alike, who, height) -> None:
    found = group(slab_pictures, alike=alike)
    ordered = found.slice_order >= 0
    assert ordered.mean() >= 0.99
    for one in np.unique(np.array(found.participant)[ordered]):
        mine = ordered & (np.array(found.participant) == one)
        assert sorted(found.slice_order[mine]) == list(range(mine.sum()))
        assert abs(spearmanr(found.slice_order[mine], height[mine])[0]) > 0.99


def test_the_order_of_files_does_not_matter(slab_pictures, alike) -> None:
    shuffled = np.random.default_rng(0).permutation(len(slab_pictures))
    usual = np.array(group(slab_pictures, alike=alike).participant)
    found = group(some(slab_pictures, shuffled))
    assert adjusted_rand_score(usual[shuffled], found.participant) == 1


def test_slices_far_apart_cannot_be_told(slab_pictures, height) -> None:
    found = group(some(slab_pictures, np.flatnonzero(height % 10 == 5)))
    assert not found.certain
    assert found.estimated_error is None
    assert not found.confidence.any()
    assert found.method.startswith("cannot tell")


def test_right_ids_are_not_accused(slab_pictures, alike, who) -> None:
    assert not verify(slab_pictures, who.tolist(), alike=alike)


def test_twins_are_found(slab_pictures, alike, who, height) -> None:
    first = who[0]
    ids = np.where((who == first) & (height > 20), "somebody else", who)
    found = verify(slab_pictures, ids.tolist(), alike=alike)
    assert [pair[:2] for pair in found.same_person] == [
        tuple(sorted({first, "somebody else"}))
    ]
    assert not found.mixed


def test_mixed_ids_are_found(slab_pictures, alike, who) -> None:
    one, other = np.unique(who)[:2]
    found = verify(
        slab_pictures, np.where(who == other, one, who).tolist(), alike=alike
    )
    assert [mixed[0] for mixed in found.mixed] == [one]
    assert not found.same_person


def test_a_split_of_slices_leaks_everybody(slab_pictures, alike, who, height) -> None:
    roles = np.where(height > 30, "test", "train").tolist()
    found = leaks_across(roles, who.tolist(), slab_pictures, alike=alike)
    assert found
    assert found.participants_shared == 10
    assert found.test_images == found.test_images_with_participant_in_train == 100
    assert 10 <= found.neighbouring_slices <= 20  # the first, and the one behind it
    assert found.test_images_near_duplicate_in_train == 0
    one, other, _ = found.worst[0]
    assert {height[one], height[other]} == {30, 31}
    assert who[one] == who[other]


def test_a_split_by_participant_is_clean(slab_pictures, alike, who) -> None:
    roles = np.where(np.isin(who, np.unique(who)[:3]), "test", "train").tolist()
    assert not leaks_across(roles, who.tolist(), slab_pictures, alike=alike)
    assert not leaks_across(roles, None, slab_pictures, alike=alike)


def test_copies_across_a_split_are_found(slab_pictures, who) -> None:
    people = np.isin(who, np.unique(who)[:3])
    copied = np.flatnonzero(people)[:4]
    rows = np.concatenate([np.arange(len(who)), copied])
    pictures = some(slab_pictures, rows)
    bright = pictures.thumbnails.copy()
    bright[-2:] = bright[-2:, :, ::-1] * 0.9
    digests = (*pictures.digests[:-2], "one", "other")
    pictures = replace(pictures, thumbnails=bright, digests=digests)
    roles = ["test" if person else "train" for person in people] + ["train"] * 4
    found = leaks_across(roles, None, pictures)
    assert found.test_images_near_duplicate_in_train == 4
    assert found.participants_shared is None


@pytest.mark.slow
def test_whole_heads_of_single_slices_have_no_look_alikes(phantoms) -> None:
    pictures = look_at(Cohort.from_path(phantoms), jobs=1)
    found = look_alikes(pictures)
    assert not found.copies.any()
    assert not found.neighbors.any()


def test_where_no_next_slices_are_seen_only_copies_accuse(phantoms) -> None:
    pictures = look_at(Cohort.from_path(phantoms), jobs=1)
    found = look_alikes(pictures)
    assert not found.calibration.sees_neighbors
    # A few strangers tell their spread badly: here it seems a tenth of what it is.
    narrow = replace(found.calibration, spread=found.calibration.spread / 10)
    found = replace(found, calibration=narrow)
    assert (found.excess > narrow.threshold).any()
    assert not found.neighbors.any()
    ids = pictures.cohort.table["participant_id"].tolist()
    assert not verify(pictures, ids, alike=found)
