from __future__ import annotations

import numpy as np
import pytest

from vit_dementia.quality.cohort import repeats, typicality, unusual


@pytest.fixture
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    brain = rng.normal(size=2000)
    scans = [brain + 0.3 * rng.normal(size=2000) for _ in range(30)]
    return np.stack(scans).astype(np.float32)


def test_typicality_is_the_correlation_with_the_median(rows) -> None:
    median = np.median(rows, axis=0)
    expected = [np.corrcoef(row, median)[0, 1] for row in rows]
    assert np.allclose(typicality(rows), expected, atol=1e-5)


def test_a_scan_unlike_the_others_is_found_and_no_other(rows) -> None:
    rows[7] = np.roll(rows[7], 3)
    assert unusual(typicality(rows))[1] == [7]


def test_of_a_few_scans_none_is_unusual() -> None:
    assert unusual(np.array([0.9, 0.9, 0.1])) == (-1.0, [])


def test_a_copy_on_another_scale_is_a_repeat_and_another_visit_is_not(rows) -> None:
    rows[20] = 3 * rows[4] + 1
    assert repeats(rows) == [(4, 20)]


def test_empty_scans_are_alike_to_nobody(rows) -> None:
    rows[3] = rows[5] = 0
    assert repeats(rows) == []
    assert typicality(rows)[3] == 0
