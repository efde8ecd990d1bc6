from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from vit_dementia.data.phantoms.anatomy import HIPPOCAMPI
from vit_dementia.data.phantoms.atlas import FIELDS, Grid, radius


@given(st.integers(0, 2**32 - 1))
def test_interpolation_equals_scipys(seed):
    rng = np.random.default_rng(seed)
    values = rng.random((5, 6, 7, 2), dtype=np.float32)
    grid = Grid(values=values, origin_mm=(-3.0, 1.0, 2.0), step_mm=2.0)
    points = rng.uniform(-6, 16, (40, 3))
    theirs = [
        map_coordinates(
            values[..., c],
            ((points - np.array(grid.origin_mm)) / 2).T,
            order=1,
            mode="nearest",
        )
        for c in range(2)
    ]
    np.testing.assert_allclose(grid.at(points), np.stack(theirs, axis=1), atol=1e-5)


def test_hippocampi_lie_in_gray_matter(atlas):
    rng = np.random.default_rng(0)
    for body in HIPPOCAMPI:
        center, radii = np.array(body.center_mm), np.array(body.radii_mm)
        points = center + rng.uniform(-1, 1, (2000, 3)) * radii.max()
        tissue = atlas.tissue.at(points[radius(body, points) < 0.7])
        assert tissue[:, 0].mean() > 0.99  # brain
        assert tissue[:, 1].mean() < 0.25  # little fluid
        assert tissue[:, 2].mean() < 0.45  # little white matter


def test_ventricles_grow_on_their_own_side(atlas):
    for name, field in zip(FIELDS, atlas.growth, strict=True):
        length = np.linalg.norm(field.values, axis=-1)
        np.testing.assert_allclose(length.max(), 1, atol=1e-5)
        x = np.arange(len(length)) * field.step_mm + field.origin_mm[0]
        middle = (length.sum(axis=(1, 2)) * x).sum() / length.sum()
        assert (middle < 0) == name.endswith("left")


def test_template_is_mostly_solid_brain_with_both_tissues(atlas):
    brain, fluid, white, sulcus = np.moveaxis(atlas.tissue.values, -1, 0)
    solid = (brain > 0.5) & (fluid < 0.5)
    assert 1.5e6 < solid.sum() < 2.0e6  # mm³; the template is larger than most heads
    assert 0.3 < (white[solid] > 0.5).mean() < 0.6
    assert sulcus.min() == 0
