"""What cannot be claimed is said whenever the numbers are silent or against it."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from vit_dementia.evaluation.scores import score
from vit_dementia.workflows.floors import ERASED
from vit_dementia.workflows.report.limits import TOO_NARROW, cannot_claim
from vit_dementia.workflows.report.words import summary


@pytest.fixture(scope="module")
def metrics(cohort, told_of):
    told = told_of(cohort)
    return score(told, floors={"another": told_of(cohort, skill=0, seed=1)})


def said(metrics):
    return " ".join(cannot_claim(metrics))


def test_few_of_a_side_make_intervals_too_narrow(metrics) -> None:
    assert f"10 participants of NonDemented: {TOO_NARROW}" in said(metrics)
    assert (
        "20 participants of VeryMildDemented or MildDemented: the intervals are "
        "themselves unsure" in said(metrics)
    )


def test_many_are_not_too_few(metrics) -> None:
    many = copy.deepcopy(metrics)
    for found in many["by_participant"]["by_class"].values():
        found["n_participants"] = 100
    assert "interval" not in said(many)


@pytest.mark.parametrize(("number", "who"), [(0, "nobody"), (1, "one participant")])
def test_of_a_class_of_one_nothing_is_said(metrics, number, who) -> None:
    few = copy.deepcopy(metrics)
    few["by_participant"]["by_class"]["MildDemented"]["n_participants"] = number
    assert f"Nothing can be said about MildDemented: {who} is" in said(few)


@pytest.mark.parametrize("verdict", ["not above the floor", "below the floor"])
def test_a_model_that_is_no_better_cannot_claim_to_be(metrics, verdict) -> None:
    no_better = copy.deepcopy(metrics)
    no_better["above_floor"]["auroc"]["verdict"] = verdict
    assert f"its AUROC is {verdict}" in said(no_better)


def test_a_score_that_is_no_better_is_named_though_auroc_is(metrics) -> None:
    mixed = copy.deepcopy(metrics)
    mixed["above_floor"]["auroc"]["verdict"] = "above the floor"
    mixed["above_floor"]["accuracy"]["verdict"] = "not above the floor"
    assert "better in accuracy: there it is not above the floor" in said(mixed)
    assert "better than what needs no such model" not in said(mixed)


def test_without_floors_no_transformer_was_shown_to_be_needed(cohort, told_of):
    metrics = score(told_of(cohort))
    assert "not shown that a Vision Transformer was needed" in said(metrics)


def early(metrics, verdict, value=0.6):
    entry = {"value": value, "low": 0.5, "high": 0.7, "method": "Wilson"}
    entry = entry if value is not None else {"value": None, "undefined": "no people"}
    verdicts = {"auroc": {"floor": "another", "verdict": verdict}} if verdict else {}
    return {
        **metrics,
        "early": {
            "endpoint": {"words": "VeryMildDemented against NonDemented"},
            "n_participants": 20,
            "n_images": 40,
            "scores": {"auroc": entry},
            "floors": {},
            "above_floor": verdicts,
        },
    }


def test_early_detection_is_not_claimed_unless_shown(metrics) -> None:
    asked = "Early detection (VeryMildDemented against NonDemented) is not shown"
    assert asked in said(early(metrics, "not above the floor"))
    assert asked not in said(early(metrics, "above the floor"))
    assert asked not in said(early(metrics, None))
    assert "Nothing is shown about early detection" in said(early(metrics, None, None))
    paragraph = " ".join(summary(early(metrics, "not above the floor")))
    assert "AUROC of 0.60, 95 % interval 0.50 to 0.70, which is not above" in paragraph


def test_the_first_paragraph_says_how_many_of_each_class_are_named(metrics) -> None:
    found = metrics["by_participant"]["by_class"]
    for name, of in found.items():
        hundred = round(100 * of["sensitivity"]["value"])
        assert f"{hundred} of 100 with {name}" in " ".join(summary(metrics))
    assert np.all([of["n_participants"] == 10 for of in found.values()])


@pytest.mark.parametrize(("low", "is_said"), [(0.55, True), (0.45, False)])
def test_what_is_found_without_a_brain_is_said(metrics, low, is_said) -> None:
    entry = {"value": 0.7, "low": low, "high": 0.8, "method": "BCa"}
    erased = copy.deepcopy(metrics)
    erased["floors"][ERASED] = {"auroc": entry}
    assert ("not shown that the model judges by the brain" in said(erased)) is is_said


def test_a_model_that_needs_no_brain_is_said_to_in_the_first_paragraph(metrics):
    erased = copy.deepcopy(metrics)
    erased["floors"][ERASED] = erased["floors"]["another"]
    erased["above_floor"]["auroc"]["floor"] = ERASED
    paragraph = " ".join(summary(erased))
    assert "With the brain erased from the scans, this same model still" in paragraph
    assert "need no Vision Transformer" not in paragraph


def test_an_external_test_claims_no_third_place(metrics) -> None:
    assert "a third site" in " ".join(cannot_claim(metrics, external=True))
    assert "a third site" not in said(metrics)


def test_being_above_chance_is_no_need_of_a_transformer(metrics) -> None:
    easy = copy.deepcopy(metrics)
    easy["above_floor"]["auroc"]["verdict"] = "above the floor"
    assert "no floor that learns" not in said(easy)
    easy["floors"] = {"majority class": easy["floors"]["another"]}
    assert "no floor that learns" in said(easy)
