"""Tables of what not every evaluation has: thresholds, folds, repetitions, groups."""

from __future__ import annotations

import pytest

from vit_dementia.workflows.report import tables
from vit_dementia.workflows.report.probabilities import scaling, sets

ENTRY = {"value": 0.75, "low": 0.6, "high": 0.9, "method": "Wilson"}
SAID = "0.75 (0.60 to 0.90)"


def metrics(**section):
    return {"by_participant": section}


def test_nothing_is_made_of_what_is_not_there() -> None:
    silent = metrics(scores={})
    assert tables.line_table(silent) is None
    assert tables.early_table(silent) is None
    assert tables.fold_table(silent) is tables.repeat_table(silent) is None
    assert tables.subgroup_tables(silent) == []
    assert sets(silent) == scaling(silent) == []


@pytest.mark.parametrize("prevalence", [None, 0.1])
def test_ppv_stands_only_where_a_prevalence_was_told(prevalence) -> None:
    line = {"threshold": 0.5, "chosen_on": "fixed beforehand"}
    line |= dict.fromkeys(("sensitivity", "specificity", "ppv", "npv"), ENTRY)
    by_fold = {**line, "threshold": {"0": 0.4, "1": 0.6}}
    told = metrics(lines={"half": line, "specificity_90": by_fold})
    table = tables.line_table({**told, "prevalence": prevalence})
    assert ("PPV" in table["columns"]) is (prevalence is not None)
    half, chosen = table["rows"]
    assert half["name"] == "0.5"
    assert half["cells"][:3] == ["0.50", "fixed beforehand", SAID]
    assert chosen["cells"][0] == "0.40 to 0.60, by fold"
    assert len(half["cells"]) == len(table["columns"])


def test_folds_and_repetitions_show_each_and_their_spread() -> None:
    spread = {"each": {"0": 0.5, "1": None}, "mean": 0.5, "sd": None}
    folds = {"n_participants": {"0": 30, "1": 1}, "scores": {"auroc": spread}}
    table = tables.fold_table({"folds": folds})
    assert table["columns"] == ["fold 0", "fold 1", "mean (SD)"]
    assert table["rows"][0]["cells"] == ["30", "1", ""]
    assert table["rows"][1]["cells"] == ["0.50", "undefined", "0.50"]
    spread = {"each": {"1": 0.5, "2": 0.7}, "mean": 0.6, "sd": 0.14}
    repeats = {"n": 2, "scores": {"auroc": spread}}
    table = tables.repeat_table({"repeats": repeats})
    assert table["columns"] == ["time 1", "time 2", "mean (SD)"]
    assert table["rows"][0]["cells"] == ["0.50", "0.70", "0.60 (0.14)"]


def test_a_group_that_is_too_small_says_so_and_no_score() -> None:
    scores = dict.fromkeys(("auroc", "sensitivity"), ENTRY)
    groups = {
        "60 to 69": {"n_participants": 40, "scores": scores},
        "70 to 79": {
            "n_participants": 30,
            "scores": scores,
            "gap": {"to": "60 to 69", "auroc": ENTRY},
        },
        "80 and above": {"n_participants": 3, "too_few": "too few to say: 3"},
    }
    (table,) = tables.subgroup_tables({"subgroups": {"age": groups}})
    first, second, third = table["rows"]
    assert first["cells"] == [SAID, SAID, "", ""]
    assert first["gap"] == ""
    assert second["gap"] == f"{SAID} to 60 to 69"
    assert third["too_few"] == "too few to say: 3"


def test_the_early_question_is_shown_beside_the_floors() -> None:
    early = {
        "endpoint": {"words": "B against A"},
        "n_participants": 20,
        "n_images": 40,
        "scores": {"auroc": ENTRY, "auprc": ENTRY},
        "floors": {"majority class": {"auroc": ENTRY}},
    }
    table = tables.early_table({"early": early})
    assert table["columns"] == ["AUROC"]
    assert table["rows"][1] == {"name": "majority class", "cells": [SAID]}
    assert table["others"] == [f"AUPRC {SAID}"]


def test_sets_say_what_not_sure_buys_or_why_there_are_none() -> None:
    asked = {"level": 0.9, "calibrated_on": "the others"}
    few = metrics(sets={**asked, "undefined": "cannot calibrate at this level: few"})
    assert "cannot calibrate at this level: few" in sets(few)[0]
    rest = dict.fromkeys(("coverage", "answered", "right_when_answered"), ENTRY)
    (sentence,) = sets(metrics(sets={**asked, "mean_size": 1.5, **rest}))
    assert "90% of the time (calibrated on the others)" in sentence
    assert f"right in {SAID}" in sentence


@pytest.mark.parametrize(
    ("scaled", "words"),
    [
        ({"method": "none", "why": "too few"}, "left as they are: too few."),
        ({"method": "none"}, "left as they are."),
        (
            {"method": "temperature", "temperature": 1.5},
            "by temperature (1.50), fitted",
        ),
    ],
)
def test_how_probabilities_were_mended_is_said(scaled, words) -> None:
    found = {"scaling": scaled, "n_participants": 30}
    assert words in scaling({**metrics(), "model_calibration": found})[0]
