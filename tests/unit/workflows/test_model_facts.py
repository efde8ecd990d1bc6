"""What is told of a model beside an answer."""

from __future__ import annotations

import json

import pytest
from tests.unit.serving import served

from vit_dementia.errors import DataError
from vit_dementia.inference.model_folder import read_model_folder
from vit_dementia.workflows.model_facts import facts_of

SCORED = {
    "endpoint": {"words": "AD against CN"},
    "above_floor": {"auroc": {"floor": "linear", "verdict": "above the floor"}},
    "by_participant": {
        "n_participants": 9,
        "scores": {"auroc": {"value": 0.9, "low": 0.8, "high": 1.0, "method": "x"}},
    },
    "floors": {"linear": {"auroc": {"value": 0.7, "low": None, "high": None}}},
}


def test_a_model_is_told_with_its_score_and_its_floor(tmp_path) -> None:
    run = served.write_model(tmp_path / "run", served.SLICES)
    model = read_model_folder(run)
    facts = facts_of(model, run)
    assert facts["classes"] == list(served.CLASSES)
    assert facts["evaluation"] is None
    assert str(tmp_path) not in json.dumps(facts)
    scored = run / "evaluation" / "test" / "metrics.json"
    scored.parent.mkdir(parents=True)
    scored.write_text(json.dumps(SCORED))
    told = facts_of(model, run)["evaluation"]
    assert (told["auroc"]["value"], told["floor_auroc"]["value"]) == (0.9, 0.7)
    assert (told["part"], told["verdict"]) == ("test", "above the floor")
    scored.write_text(json.dumps(SCORED | {"above_floor": {}}))
    assert facts_of(model, run)["evaluation"] is None
    scored.write_text(json.dumps({"above_floor": {}}))
    with pytest.raises(DataError, match="damaged"):
        facts_of(model, run)


def test_a_cross_validation_is_told_with_the_score_out_of_its_folds(tmp_path) -> None:
    run = served.write_model(tmp_path / "cv", served.SLICES)
    scored = run / "evaluation" / "out-of-fold" / "metrics.json"
    scored.parent.mkdir(parents=True)
    scored.write_text(json.dumps(SCORED))
    told = facts_of(read_model_folder(run), run)["evaluation"]
    assert (told["part"], told["n_participants"]) == ("out-of-fold", 9)
