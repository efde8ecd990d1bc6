from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from vit_dementia.models.positions import (
    RULES,
    interpolation_matrix,
    resize_positions,
)

# What each library calls, at its own place (see docs/reference/checkpoints.md).
THEIRS = {
    "bicubic-antialias": {"mode": "bicubic", "antialias": True},
    "bicubic": {"mode": "bicubic", "align_corners": False},
    "bicubic-corners": {"mode": "bicubic", "align_corners": True},
    "bilinear": {"mode": "bilinear", "align_corners": False},
}
GRIDS = [((4, 4), (6, 6)), ((6, 4), (4, 6)), ((14, 14), (13, 11)), ((3, 5), (3, 9))]


@pytest.mark.parametrize("rule", THEIRS)
@pytest.mark.parametrize(("source", "target"), GRIDS)
def test_rules_equal_torchs_own_interpolation(rule, source, target) -> None:
    positions = torch.randn(1, 1 + source[0] * source[1], 5, dtype=torch.float64)
    ours = resize_positions(positions, source, target, num_prefix=1, rule=rule)
    image = positions[:, 1:].reshape(1, *source, 5).permute(0, 3, 1, 2)
    theirs = interpolate(image, target, **THEIRS[rule]).permute(0, 2, 3, 1)
    torch.testing.assert_close(ours[:, 1:], theirs.flatten(1, 2), rtol=0, atol=1e-12)
    assert torch.equal(ours[:, :1], positions[:, :1])


@pytest.mark.parametrize(("source", "target"), GRIDS)
def test_googles_rule_equals_scipys_zoom(source, target) -> None:
    positions = torch.randn(1, source[0] * source[1], 2, dtype=torch.float64)
    ours = resize_positions(
        positions, source, target, num_prefix=0, rule="bilinear-corners"
    )
    factors = (target[0] / source[0], target[1] / source[1], 1)
    theirs = scipy.ndimage.zoom(positions.reshape(*source, 2).numpy(), factors, order=1)
    np.testing.assert_allclose(ours.reshape(*target, 2).numpy(), theirs, atol=1e-12)


def test_dinos_rule_equals_its_own_call() -> None:
    positions = torch.randn(1, 1 + 36, 2, dtype=torch.float64)
    ours = resize_positions(positions, (6, 6), (9, 4), num_prefix=1, rule="dino")
    theirs = interpolate(
        positions[:, 1:].reshape(1, 6, 6, 2).permute(0, 3, 1, 2),
        scale_factor=((9 + 0.1) / 6, (4 + 0.1) / 6),
        mode="bicubic",
    )
    expected = theirs.permute(0, 2, 3, 1).flatten(1, 2)
    torch.testing.assert_close(ours[:, 1:], expected, rtol=0, atol=1e-12)


@given(st.sampled_from(RULES), st.integers(1, 20), st.integers(1, 20))
def test_constant_positions_stay_constant(rule, size_in, size_out) -> None:
    matrix = interpolation_matrix(size_in, size_out, rule)
    assert matrix.shape == (size_out, size_in)
    torch.testing.assert_close(
        matrix.sum(1), torch.ones(size_out, dtype=torch.float64), rtol=0, atol=1e-9
    )


def test_rules_differ_from_one_another() -> None:
    matrices = [interpolation_matrix(14, 11, rule) for rule in RULES]
    for i, one in enumerate(matrices):
        for other in matrices[i + 1 :]:
            assert (one - other).abs().max() > 1e-3


def test_equal_counts_on_another_grid_are_resized_all_the_same() -> None:
    positions = torch.randn(1, 24, 3)
    turned = resize_positions(positions, (6, 4), (4, 6), num_prefix=0, rule="bicubic")
    assert not torch.equal(turned, positions)
    same = resize_positions(positions, (6, 4), (6, 4), num_prefix=0, rule="bicubic")
    assert torch.equal(same, positions)


def test_volumes_are_resized_along_three_axes() -> None:
    ramp = torch.arange(4.0).reshape(1, 4, 1).repeat_interleave(4, dim=1)
    out = resize_positions(
        ramp, (4, 2, 2), (7, 3, 2), num_prefix=0, rule="bilinear-corners"
    )
    along = out.reshape(7, 3, 2)
    torch.testing.assert_close(along[:, 1, 1], torch.arange(7.0) / 2)


def test_a_grid_that_is_not_the_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="found 5 rows"):
        resize_positions(
            torch.zeros(1, 5, 2), (3, 3), (4, 4), num_prefix=1, rule="bicubic"
        )
