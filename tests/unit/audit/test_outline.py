from __future__ import annotations

import numpy as np
import pytest

from vit_dementia.audit.outline import NO_OUTLINE, head_mask, outline_of

ROWS, COLUMNS = np.mgrid[:96, :96]


def head(*, tall: float = 40, wide: float = 30, row: float = 48) -> np.ndarray:
    return ((ROWS - row) / tall) ** 2 + ((COLUMNS - 48) / wide) ** 2 < 1


def test_an_ellipse_has_its_own_area_and_axes() -> None:
    found = outline_of(head())
    assert found.area == pytest.approx(np.pi * 40 * 30 / 96**2, rel=0.02)
    assert found.height == pytest.approx(80 / 96, abs=2 / 96)
    assert found.width == pytest.approx(60 / 96, abs=2 / 96)
    assert found.row == pytest.approx(0.5, abs=0.01)
    assert 0.9 < found.roundness < 1


def test_what_lies_inside_does_not_change_the_outline() -> None:
    whole = np.where(head(), 200, 0)
    hollow = np.where(head(tall=15, wide=10), 20, whole)  # ventricles
    hollow[8:30, 47:50] = 20  # the fissure between the halves opens to the outside
    assert outline_of(head_mask(hollow)).area == pytest.approx(
        outline_of(head_mask(whole)).area, rel=0.01
    )


def test_brightness_and_a_gray_background_do_not_change_the_outline() -> None:
    picture = np.where(head(), 200.0, 0.0)
    dim = 30 + picture / 4
    np.testing.assert_array_equal(head_mask(picture), head_mask(dim))


def test_a_lower_head_is_told_from_a_higher_one() -> None:
    assert outline_of(head(row=52)).row > outline_of(head(row=44)).row


def test_nothing_has_no_outline() -> None:
    assert outline_of(head_mask(np.zeros((9, 9)))) == NO_OUTLINE
