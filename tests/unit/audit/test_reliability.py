from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics.cluster import pair_confusion_matrix

from vit_dementia.audit.contraction import contract
from vit_dementia.audit.grouping import group, look_alikes
from vit_dementia.audit.reliability import reliability


@pytest.fixture(scope="module")
def alike(slab_pictures):
    return look_alikes(slab_pictures)


def groups_of(alike) -> np.ndarray:
    return contract(len(alike.prints), alike.pairs, alike.same_person)


def real_error(who, groups) -> float:
    (_, wrong), (lost, right) = pair_confusion_matrix(who, groups)
    return 1 - 2 * right / (2 * right + wrong + lost)


def test_what_only_one_image_found_makes_the_estimate_worse(alike) -> None:
    groups = groups_of(alike)
    usual = reliability(groups, alike)
    one_sided = replace(alike, mutual=np.zeros_like(alike.mutual))
    assert reliability(groups, one_sided).estimated_error > usual.estimated_error


def test_no_answer_is_given_where_slices_are_missing_at_random(slab_pictures) -> None:
    kept = np.random.default_rng(0).random(len(slab_pictures)) < 0.7
    rows = np.flatnonzero(kept)
    pictures = replace(
        slab_pictures,
        cohort=slab_pictures.cohort.select(rows),
        thumbnails=slab_pictures.thumbnails[rows],
        digests=tuple(slab_pictures.digests[row] for row in rows),
        facts=slab_pictures.facts.iloc[rows].reset_index(drop=True),
    )
    who = pictures.cohort.table["participant_id"].to_numpy(str)
    found = group(pictures)
    real = real_error(who, found.participant)
    assert real > 0.1  # the people fall apart
    assert not found.certain


def test_confidence_falls_as_images_are_spoiled(slab_pictures) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=slab_pictures.thumbnails.shape)
    noise = ndimage.gaussian_filter(noise, (0, 1, 1))
    noise /= noise.std()
    sure = []
    for strength in (0, 12, 24):
        spoiled = np.clip(slab_pictures.thumbnails + strength * noise, 0, 255)
        pictures = replace(slab_pictures, thumbnails=spoiled.astype(np.uint8))
        sure.append(float(group(pictures).confidence.mean()))
    assert sure[0] + 0.01 >= sure[1] >= sure[2]
    assert sure[0] > 0.95
    assert sure[-1] < 0.5


def test_the_weakest_links_are_believed_least(alike) -> None:
    groups = groups_of(alike)
    sure = reliability(groups, alike).confidence
    assert len(np.unique(sure)) > 2  # it tells groups apart
    alone = np.bincount(groups)[groups] == 1
    assert sure[alone].max(initial=0) < sure[~alone].min()
