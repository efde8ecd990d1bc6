"""Regions lie where they lie in a head, left on the left, however a scan is turned."""

from __future__ import annotations

import numpy as np
import pytest

from vit_dementia.data.phantoms.anatomy import HIPPOCAMPI, VENTRICLE_SEEDS_MM
from vit_dementia.data.volumes import Volume
from vit_dementia.explanation.regions import (
    ELSEWHERE,
    NAMES,
    by_region,
    load_template,
    of_places,
    on_template,
)

# Middles of right regions of the AAL (Tzourio-Mazoyer et al. 2002): the left ones made
# the table, these did not.
RIGHT = {
    "frontal lobe": [(41, -8, 52), (22, 31, 44), (38, 33, 34), (50, 15, 21)],
    "temporal lobe": [(58, -22, 7), (57, -37, -1), (54, -31, -22), (48, 15, -17)],
    "parietal lobe": [(41, -25, 53), (26, -59, 62), (46, -46, 50), (46, -60, 39)],
    "occipital lobe": [(14, -79, 28), (24, -81, 31), (37, -80, 19), (38, -82, -8)],
    "cerebellum": [(37, -67, -30), (25, -58, -24), (33, -63, -48)],
    "deep gray matter": [(15, 12, 9), (28, 5, 2), (13, -18, 8)],
}  # fmt: skip


def spot(place_mm, affine, shape=(60, 72, 60), *, radius=4.0):
    """Return a map that is one ball around a place in millimeters."""
    voxels = np.argwhere(np.ones(shape)) @ affine[:3, :3].T + affine[:3, 3]
    near = np.linalg.norm(voxels - np.array(place_mm), axis=1) < radius
    return Volume(near.reshape(shape).astype(np.float32), affine)


RAS = np.array([[3.0, 0, 0, -90], [0, 3, 0, -126], [0, 0, 3, -72], [0, 0, 0, 1]])
LAS = RAS @ np.array([[-1.0, 0, 0, 59], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
TURNED = RAS[:, [2, 0, 1, 3]]  # axes stored in another order


@pytest.mark.parametrize("lobe", RIGHT)
def test_regions_that_made_no_table_lie_in_their_lobe(lobe) -> None:
    places = np.array(RIGHT[lobe], dtype=float)
    assert {NAMES[n - 1] for n in of_places(places)} == {f"right {lobe}"}
    mirrored = places * [-1, 1, 1]
    assert {NAMES[n - 1] for n in of_places(mirrored)} == {f"left {lobe}"}


@pytest.mark.parametrize("affine", [RAS, LAS, TURNED], ids=["RAS", "LAS", "turned"])
def test_left_is_left_whatever_the_affine_turns(affine) -> None:
    shape = (72, 72, 72)
    for body, seed, side in zip(
        HIPPOCAMPI, VENTRICLE_SEEDS_MM, ("left", "right"), strict=True
    ):
        for place, part in ((body.center_mm, "hippocampus"),):
            found = by_region(spot(place, affine, shape), load_template())
            best = max(found, key=lambda one: one.share)
            assert best.region == f"{side} {part}"
            assert best.share > 0.9
            assert best.times_even > 50
        near = by_region(spot(seed, affine, shape, radius=5), load_template())
        share = {one.region: one.share for one in near}
        other = {"left": "right", "right": "left"}[side]
        assert share[f"{side} lateral ventricle"] > 0.2
        assert share[f"{other} lateral ventricle"] == 0


def test_shares_sum_to_one_and_an_even_map_is_even() -> None:
    even = Volume(np.ones((60, 72, 60), np.float32), RAS)
    found = by_region(even, load_template())
    assert [one.region for one in found] == [*NAMES, ELSEWHERE]
    assert sum(one.share for one in found) == pytest.approx(1)
    assert all(one.times_even == pytest.approx(1) for one in found)
    for left, right in zip(found[:-1:2], found[1:-1:2], strict=True):
        assert left.share == pytest.approx(right.share, rel=0.25)
    empty = by_region(Volume(-even.voxels, RAS), load_template())
    assert not any(one.share for one in empty)


def test_a_map_keeps_its_place_on_the_template() -> None:
    template = load_template()
    laid = on_template(spot((-40, 20, 30), LAS, radius=6), template)
    top = np.argwhere(laid > 0.5).mean(axis=0)
    middle = template.affine[:3, :3] @ top + template.affine[:3, 3]
    np.testing.assert_allclose(middle, (-40, 20, 30), atol=1.5)
    assert laid.shape == template.picture.shape
