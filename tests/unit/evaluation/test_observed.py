"""How often it was true of people who were told about the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vit_dementia.evaluation.observed import (
    FEWEST,
    ObservedBin,
    bin_of,
    observed_bins,
)

people = st.lists(
    st.tuples(st.booleans(), st.integers(0, 20).map(lambda n: n / 20)),
    min_size=FEWEST,
    max_size=150,
)


@given(people)
def test_each_participant_is_counted_once_in_the_bin_of_their_own_score(told) -> None:
    is_positive = np.array([positive for positive, _ in told])
    score = np.array([score for _, score in told])
    bins = observed_bins(is_positive, score)
    assert bins[0].above == 0
    assert bins[-1].up_to == 1
    assert [one.up_to for one in bins[:-1]] == [one.above for one in bins[1:]]
    mine = [bin_of(bins, float(one)) for one in score]
    for one in bins:
        inside = np.array([found == one for found in mine])
        assert one.num_participants == inside.sum()
        assert one.num_positive == is_positive[inside].sum()


def test_few_participants_have_no_bins() -> None:
    assert observed_bins(np.ones(FEWEST - 1, bool), np.ones(FEWEST - 1)) == ()
    assert bin_of((), 0.3) is None


def test_the_interval_is_that_of_scipy() -> None:
    told = ObservedBin(0.2, 0.4, 3, 17).to_dict()
    expected = tuple(stats.binomtest(3, 17).proportion_ci(method="wilson"))
    assert (told["low"], told["high"]) == pytest.approx(expected)
    assert ObservedBin.from_dict(told) == ObservedBin(0.2, 0.4, 3, 17)


@pytest.mark.parametrize(
    "numbers", [(0.5, 0.2, 1, 10), (0.0, 2.0, 1, 10), (0.0, 1.0, 11, 10)]
)
def test_impossible_numbers_are_refused(numbers) -> None:
    names = ("above", "up_to", "num_positive", "n_participants")
    with pytest.raises(ValueError, match="cannot be"):
        ObservedBin.from_dict(dict(zip(names, numbers, strict=True)))
