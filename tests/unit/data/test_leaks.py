from __future__ import annotations

import numpy as np
import pytest

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.leaks import Leak, find_leaks, refuse_leaks
from vit_dementia.errors import LeakageError


@pytest.fixture
def cohort(paint, tmp_path) -> Cohort:
    for who in range(1, 9):
        for scan in "ab":
            paint(f"{'CN' if who % 2 else 'AD'}/sub-{who}_{scan}.png")
    return Cohort.from_path(tmp_path / "data")


def test_nobody_leaks_when_participants_stay_whole(cohort) -> None:
    who = cohort.table["participant_id"].to_numpy(dtype=str)
    roles = np.where(who == "sub-1", "test", "train")
    leak = find_leaks(cohort, roles)
    assert not leak
    assert leak.checked
    refuse_leaks(leak, None)


def test_whoever_stands_on_two_sides_is_named(cohort) -> None:
    roles = np.array(["train", "test"] * 8)
    roles[:2] = ["train", ""]  # one scan left out: that participant does not leak
    leak = find_leaks(cohort, roles)
    assert len(leak.participants) == 7
    assert leak.sentence() == "7 of 7 test participants also stand in train"
    with pytest.raises(LeakageError, match="and 2 more") as caught:
        refuse_leaks(leak, None)
    assert caught.value.exit_code == 3
    assert str(caught.value).count("sub-") == 5
    refuse_leaks(leak, "to show what it is worth")
    with pytest.raises(LeakageError):
        refuse_leaks(leak, "")


def test_val_and_train_must_not_share_either(cohort) -> None:
    leak = find_leaks(cohort, np.array(["train", "val"] * 8))
    assert leak.sentence() == "8 of 8 val participants also stand in train"


def test_one_picture_under_two_ids_is_found(cohort) -> None:
    first, last = cohort.file_of(0), cohort.file_of(len(cohort) - 1)
    last.write_bytes(first.read_bytes())
    roles = np.array(["train"] * 12 + ["test"] * 4)
    leak = find_leaks(cohort, roles)
    table = cohort.table["path"]
    assert leak.copies == ((table.iloc[0], table.iloc[-1]),)
    with pytest.raises(LeakageError, match="1 pictures stand byte for byte"):
        refuse_leaks(Leak(participants=(), checked=True, copies=leak.copies), None)


def test_unknown_participants_are_not_called_clean(paint, tmp_path) -> None:
    for n in range(6):
        paint(f"{'CN' if n % 2 else 'AD'}/{n}.png")
    cohort = Cohort.from_path(tmp_path / "data")
    leak = find_leaks(cohort, np.array(["train"] * 4 + ["test"] * 2))
    assert not leak.checked
    assert "may stand on both sides" in leak.sentence()
    refuse_leaks(leak, None)
