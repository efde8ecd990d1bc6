"""Who a row is of."""

from __future__ import annotations

from vit_dementia.inference.rows import visits_of


def test_a_visit_is_a_session_of_a_person_and_a_stranger_one_of_their_own() -> None:
    people = ["a", "a", "b", "a", "n/a", "n/a", "b"]
    sessions = ["1", "2", "1", "1", "1", "1", "1"]
    assert visits_of(people, sessions, "tuvwxyz").tolist() == [0, 1, 2, 0, 3, 4, 2]
