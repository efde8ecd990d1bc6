"""Who was seen in training, also by the run that a run was fine-tuned from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import holdout
from vit_dementia.errors import LeakageError
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.external import is_external, refuse_seen


def cohort_at(root, numbers):
    for number in numbers:
        folder = root / ("CN", "AD")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"sub-{number:03d}.png").write_text(f"nobody looks at {root}{number}")
    return Cohort.from_path(root)


def run_at(path, cohort, **settings):
    split = holdout(cohort, val=0.2, test=0.2, seed=0)
    return RunFolder.create(path, RunConfig(**settings), cohort, split)


def test_people_of_the_run_that_came_before_are_refused_too(tmp_path):
    first = run_at(tmp_path / "first", cohort_at(tmp_path / "a", range(40)))
    trained = first.split(first.cohort()).folds[0].train
    own = cohort_at(tmp_path / "b", range(100, 140))
    second = run_at(tmp_path / "second", own, init=str(tmp_path / "first" / "model"))
    number = int(trained[0][-3:])
    known_before = cohort_at(tmp_path / "c", [number, *range(200, 210)])
    with pytest.raises(LeakageError, match=trained[0]):
        refuse_seen(second, known_before)
    scratch = run_at(tmp_path / "scratch", own)
    assert refuse_seen(scratch, known_before).notes == ()


def test_people_of_the_own_test_part_are_allowed_and_told(tmp_path):
    own = cohort_at(tmp_path / "a", range(40))
    run = run_at(tmp_path / "run", own)
    tested = run.split(own).folds[0].test
    data = cohort_at(tmp_path / "c", [int(tested[0][-3:]), *range(200, 210)])
    assert is_external(run, data)
    assert not is_external(run, own)
    (note,) = refuse_seen(run, data).notes
    assert note.startswith("1 participants were in the test part")


def test_what_cannot_be_looked_up_is_told(tmp_path):
    run = run_at(tmp_path / "run", cohort_at(tmp_path / "a", range(40)))
    data = cohort_at(tmp_path / "c", range(200, 210))
    unknown = data.table.assign(participant_id="n/a")
    notes = refuse_seen(run, replace(data, table=unknown)).notes
    assert notes == ("Whose these scans are is not known of all of them.",)
