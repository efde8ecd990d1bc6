from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import BSpline

from vit_dementia.data.phantoms.lattices import LOWEST_MM, Lattice, spline_weights

BOX = ((-110.0, 110.0), (-90.0, 60.0), (-18.0, 32.0))


@given(st.floats(2, 6))
def test_weights_equal_scipys_and_sum_to_one(position):
    ours = spline_weights(np.array([position]), 9)[0]
    theirs = [
        BSpline.basis_element(np.arange(-2, 3) + k, extrapolate=False)(position)
        for k in range(9)
    ]
    np.testing.assert_allclose(ours, np.nan_to_num(theirs), atol=1e-6)
    assert abs(ours.sum() - 1) < 1e-5


def test_slice_and_volume_show_the_same_field():
    field = Lattice.draw(np.random.default_rng(0), spacing_mm=14.0, scale=1.0)
    x, y, z = (np.arange(-40.0, 40.0, 4) for _ in range(3))
    volume = field.at((x, y, z))
    np.testing.assert_allclose(
        field.at((x, y, z[7:8]))[..., 0], volume[..., 7], atol=1e-6
    )


def test_a_field_is_the_sum_of_all_nodes_by_their_weights():
    rng = np.random.default_rng(0)
    field = Lattice.draw(rng, spacing_mm=30.0, scale=1.0, components=2)
    axes = tuple(np.arange(low, high, 9.0) for low, high in BOX)
    weights = [
        spline_weights((axis - low) / 30.0 + 1, count)
        for axis, low, count in zip(axes, LOWEST_MM, field.nodes.shape[1:], strict=True)
    ]
    expected = np.einsum("cijk,xi,yj,zk->cxyz", field.nodes, *weights)
    np.testing.assert_allclose(field.at(axes), expected, atol=1e-5)
