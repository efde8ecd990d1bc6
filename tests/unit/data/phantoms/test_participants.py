from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vit_dementia.data.phantoms.participants import grade_of


@given(st.integers(2, 4), st.integers(0, 1000), st.integers(1, 200))
def test_half_of_any_number_of_people_have_no_dementia(classes, seed, participants):
    grades = [
        grade_of(number, classes=classes, seed=seed)
        for number in range(1, participants + 1)
    ]
    assert abs(grades.count(0) - participants / 2) <= classes / 2
    assert set(grades) <= set(range(classes))


def test_age_and_sex_overlap_between_classes(draw):
    people = [draw(number, classes=3) for number in range(1, 201)]
    ages = [[p.age_years for p in people if (p.grade > 0) == sick] for sick in (0, 1)]
    above = np.mean(np.array(ages[1])[:, None] > np.array(ages[0])[None, :])
    assert 0.5 < above < 0.7
    for grade in (0, 1, 2):
        assert {p.sex for p in people if p.grade == grade} == {"F", "M"}


def test_disease_only_takes_away(draw):
    for number in range(1, 60):
        who = draw(number)
        lost = who.diseased.ventricles_mm - who.healthy.ventricles_mm
        if who.grade:
            assert (lost > 0).all()
            assert (who.diseased.hippocampi >= who.healthy.hippocampi).all()
            assert who.diseased.lobes_mm > 0
        else:
            assert not lost.any()
            assert who.diseased.lobes_mm == 0


def test_mildest_grade_overlaps_with_health(draw):
    people = [draw(number, classes=2) for number in range(1, 201)]
    for part in (
        lambda p: p.diseased.ventricles_mm.mean(),
        lambda p: p.diseased.hippocampi.mean(),
        lambda p: p.diseased.sulci_mm + p.diseased.lobes_mm,
    ):
        healthy = [part(p) for p in people if not p.grade]
        mild = [part(p) for p in people if p.grade]
        assert np.median(healthy) < np.median(mild)
        assert max(healthy) > min(mild)
