"""Guidelines are complete, and what the data are silent about is not provided."""

from __future__ import annotations

import numpy as np
import pytest

from vit_dementia.evaluation.scores import score
from vit_dementia.workflows.report import checklists as lists
from vit_dementia.workflows.report.answers import answers
from vit_dementia.workflows.report.options import ReportOptions
from vit_dementia.workflows.report.study import study_of


@pytest.fixture(scope="module")
def metrics(cohort, told_of):
    told = told_of(cohort)
    return score(told, floors={"another": told_of(cohort, skill=0, seed=1)})


def test_both_guidelines_have_all_their_items() -> None:
    claim = [item for item, _, _ in lists.CLAIM]
    assert claim == [str(number) for number in range(1, 43)]
    tripod = [item for item, _, _ in lists.TRIPOD_AI]
    assert len(tripod) == len(set(tripod)) == 52
    assert [*dict.fromkeys(item.rstrip("abcdefg") for item in tripod)] == [
        str(number) for number in range(1, 28)
    ]


def test_every_question_that_data_can_answer_is_answered(metrics, run, cohort) -> None:
    told = ReportOptions(data_source="a study", data_license="terms")
    rest = {"subgroups": {"age": {}}, "robustness": {"noise": 1}}
    study = study_of(run, "external", others=cohort, options=told)
    known = answers({**metrics, **rest}, study)
    asked = {key for _, _, key in (*lists.TRIPOD_AI, *lists.CLAIM) if key}
    assert asked - set(known) == set()


def test_what_nobody_told_is_not_provided(metrics, run) -> None:
    said = {
        (name, row["item"]): row["said"]
        for name, items in lists.checklists(
            answers(metrics, study_of(run, "test"))
        ).items()
        for row in items
    }
    for item in (
        ("TRIPOD+AI", "5a"),
        ("TRIPOD+AI", "17"),
        ("CLAIM", "14"),
        ("CLAIM", "32"),
    ):
        assert said[item] == "not provided"
    assert "participant" in said[("CLAIM", "21")]
    assert "Nothing leaks" in said[("CLAIM", "21")]
    assert "torch" in said[("CLAIM", "23")]


def test_a_table_from_elsewhere_answers_only_what_it_can(metrics) -> None:
    known = answers(metrics, None)
    assert "division" not in known
    assert "model" not in known
    for items in lists.checklists(known).values():
        silent = [row for row in items if row["said"] == "not provided"]
        assert lists.count_answered(items) == len(items) - len(silent)
        assert len(silent) > len(items) / 2


@pytest.mark.parametrize("init", ["scratch", "hf-hub:owner/name"])
def test_where_the_weights_began_is_said(make_run, cohort, metrics, tmp_path, init):
    run = make_run(tmp_path / "run", cohort, init=init)
    said = answers(metrics, study_of(run, "test"))["initialization"]
    assert said == (
        "at random, as in the paper"
        if init == "scratch"
        else "pre-trained weights: hf-hub:owner/name"
    )
    assert np.all([len(line) > 2 for line in said.split(": ")])
