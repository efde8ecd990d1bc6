from __future__ import annotations

from pathlib import Path

import pytest

from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import holdout
from vit_dementia.data.storage import frame
from vit_dementia.errors import LeakageError
from vit_dementia.workflows import guard
from vit_dementia.workflows.check_record import LeakCounts
from vit_dementia.workflows.guard import guarded, hidden_leaks, worst_of

CLEAN, LEAKING = LeakCounts(0, 0, 4, 0, 0), LeakCounts(3, 3, 4, 0, 2)


@pytest.fixture
def looks(monkeypatch) -> list:
    """Return the folds that the images were asked about; the second one leaks."""
    asked: list = []

    def look(cohort, folds, watch):
        asked.append(folds)
        return [LEAKING if number == 1 else CLEAN for number in range(len(folds))]

    monkeypatch.setattr(guard, "_looked", look)
    return asked


def made_cohort(known: bool = False) -> Cohort:
    cells = {
        "path": [f"{n:02}.png" for n in range(20)],
        "participant_id": [f"p{n}" if known else "n/a" for n in range(20)],
        "label": ["CN", "AD"] * 10,
    }
    return Cohort(
        root=Path("nowhere"), table=frame(cells), classes=("CN", "AD"), ordered=True
    )


def folds_of(cohort, num: int):
    return holdout(cohort, val=0.2, test=0.2, seed=0, repeats=num)


def test_known_participants_are_not_looked_at(looks, tmp_path) -> None:
    cohort = made_cohort(known=True)
    split = guarded(cohort, None, RunConfig(), cache=tmp_path)
    assert split.unit == "participant"
    assert looks == []


def test_only_the_fold_that_trains_must_be_clean(looks, tmp_path) -> None:
    cohort = made_cohort()
    split = folds_of(cohort, 2)
    assert guarded(cohort, split, RunConfig(fold=0), cache=tmp_path) is split
    with pytest.raises(LeakageError, match="3 of 4 test images show somebody"):
        guarded(cohort, split, RunConfig(fold=1), cache=tmp_path)
    with pytest.raises(LeakageError, match="--write-participants"):
        guarded(cohort, split, RunConfig(), every_fold=True, cache=tmp_path)
    assert len(looks) == 1  # the second and third time the answer was kept


def test_a_reason_lets_a_leak_pass(looks, tmp_path) -> None:
    cohort = made_cohort()
    split = folds_of(cohort, 2)
    allowed = RunConfig(fold=1, allow_leakage="to see it")
    assert guarded(cohort, split, allowed, cache=tmp_path) is split


def test_another_split_or_cohort_is_looked_at_anew(looks, tmp_path) -> None:
    cohort = made_cohort()
    for num, rows in ((1, 20), (2, 20), (2, 19), (2, 19)):
        some = cohort.select(range(rows))
        parts = [guard.roles(some, fold) for fold in folds_of(some, num).folds]
        assert len(hidden_leaks(some, parts, cache=tmp_path)) == num
    assert len(looks) == 3


def test_the_cache_holds_counts_and_no_names(looks, tmp_path) -> None:
    cohort = made_cohort()
    guarded(cohort, folds_of(cohort, 1), RunConfig(), cache=tmp_path / "kept")
    (file,) = (tmp_path / "kept").iterdir()
    assert ".png" not in file.read_text() + file.name
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("leaks", "refused", "said"),
    [
        (CLEAN, False, "nobody in test also stands in training"),
        (LEAKING, True, "3 of 4 test images show somebody"),
        (LeakCounts(None, None, 4, 1, 2), True, "2 of 4 test images have a copy or"),
        (LeakCounts(None, None, 4, 0, 0), False, "do not tell either"),
        (LeakCounts(5, 0, 4, 0, 0), False, "5 people of val also stand in train"),
    ],
)
def test_what_the_images_tell_is_said(leaks, refused, said) -> None:
    hidden = worst_of([leaks])
    assert bool(hidden) == refused
    assert said in hidden.sentence()


def test_the_worst_fold_is_told() -> None:
    assert worst_of([CLEAN, LEAKING, CLEAN]).leaks == LEAKING
    assert worst_of([]).leaks is None
