"""Each guard stands where its entry says, and the tests that it names are there."""

from __future__ import annotations

from tests import guards


def test_every_guard_stands_where_its_entry_says_and_has_tests(repository) -> None:
    listed = guards.read(repository)
    assert [fault for guard in listed for fault in guard.faults(repository)] == []
    assert len({guard.name for guard in listed}) == len(listed) >= 30
