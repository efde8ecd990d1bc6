"""The content of metrics.json."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vit_dementia.errors import ConfigError
from vit_dementia.evaluation import intervals, metrics
from vit_dementia.evaluation.folds import auroc_within_folds
from vit_dementia.evaluation.lines import Line
from vit_dementia.evaluation.operating import (
    predictive_values,
    sensitivity_at_specificity,
)
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.scores import BY_IMAGE_ONLY, score

CLASSES = ("CN", "very mild", "mild")


def predictions_of(
    label, *, skill=1.0, images=4, seed=0, classes=CLASSES, ids=None, prefix="sub"
):
    """Make predictions that know the label as well as ``skill`` says."""
    rng = np.random.default_rng(seed)
    label = np.asarray(label)
    n, k = len(label), len(classes)
    own = rng.normal(size=(n, k)) + skill * np.eye(k)[label]  # of the participant
    logits = np.repeat(own, images, axis=0) + 0.3 * rng.normal(size=(n * images, k))
    odds = np.exp(logits)
    names = [f"{prefix}-{i:03d}" for i in range(n)] if ids is None else ids
    return Predictions.from_arrays(
        classes,
        participant_ids=np.repeat(names, images).tolist(),
        session_ids=["n/a"] * n * images,
        paths=[f"{prefix}/{i}.png" for i in range(n * images)],
        labels=np.repeat(np.array(classes)[label], images).tolist(),
        probabilities=odds / odds.sum(axis=1, keepdims=True),
    )


THIRDS = np.arange(60) % 3


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch) -> None:
    """Draw a tenth of the people: how wide an interval is, is tested in its room."""
    few = partial(intervals.bootstrap, replicates=200)
    monkeypatch.setattr(intervals, "bootstrap", few)


def entries_in(value):
    """Yield every entry of a report, however deep."""
    if isinstance(value, dict):
        if "value" in value:
            yield value
        else:
            for inner in value.values():
                yield from entries_in(inner)


def test_every_score_equals_the_function_of_its_name():
    told = predictions_of(THIRDS)
    report = score(told)
    for section, rows in [
        ("by_participant", told.by_participant()),
        ("by_image", told),
    ]:
        label, probability = rows.labels, rows.probabilities
        predicted = probability.argmax(axis=1)
        positive, risk = label > 0, 1 - probability[:, 0]
        expected = {
            "auroc": metrics.auroc(positive, risk),
            "auprc": metrics.auprc(positive, risk),
            "sensitivity": metrics.sensitivity(positive, risk > 0.5),
            "specificity": metrics.specificity(positive, risk > 0.5),
            "sensitivity_at_specificity_90": sensitivity_at_specificity(
                positive, risk, specificity=0.90
            ),
            "sensitivity_at_specificity_95": sensitivity_at_specificity(
                positive, risk, specificity=0.95
            ),
            "accuracy": metrics.accuracy(label, predicted),
            "balanced_accuracy": metrics.balanced_accuracy(label, predicted),
            "macro_f1": metrics.macro_f1(label, predicted),
            "macro_auroc": metrics.macro_auroc(label, probability),
            "matthews_correlation": metrics.matthews_correlation(label, predicted),
            "quadratic_kappa": metrics.quadratic_kappa(label, predicted, num_classes=3),
            "stage_error": metrics.stage_error(label, predicted),
            "log_loss": metrics.log_loss(label, probability),
            "brier": metrics.brier(label, probability),
        }
        found = {k: e["value"] for k, e in report[section]["scores"].items()}
        assert found == pytest.approx(expected)
        assert (
            report[section]["confusion_matrix"]
            == metrics.confusion_matrix(label, predicted, num_classes=3).tolist()
        )


def test_every_interval_holds_its_score_and_says_how_it_was_found():
    report = score(
        predictions_of(THIRDS),
        floors={"chance": predictions_of(THIRDS, skill=0, seed=1)},
    )
    found = list(entries_in(report))
    assert len(found) > 40
    for entry in found:
        if entry["low"] is None:
            assert entry["method"].startswith("no interval: ")
        else:
            assert entry["low"] <= entry["value"] <= entry["high"]
            assert entry["method"]
    assert sum(entry["low"] is None for entry in found) == 2  # calibration errors
    scores = report["by_participant"]["scores"]
    assert scores["accuracy"]["method"] == "Wilson"
    assert scores["auroc"]["method"] == (
        "BCa bootstrap over participants within classes"
    )
    assert scores["macro_f1"]["method"] == "percentile bootstrap over participants"
    assert report["by_image"]["scores"]["accuracy"]["method"] == (
        "percentile bootstrap over participants"
    )


def test_counts_are_of_people_and_of_images():
    report = score(predictions_of(THIRDS, images=5))
    assert report["by_participant"]["n_participants"] == 60
    assert report["by_image"]["n_participants"] == 60
    assert report["by_participant"]["n_images"] == 300
    assert report["by_participant"]["by_class"]["mild"]["n_participants"] == 20
    assert report["by_image"]["by_class"]["mild"]["n_images"] == 100


def test_the_endpoint_is_named_in_words_and_can_be_chosen():
    told = predictions_of(THIRDS)
    assert score(told)["endpoint"]["words"] == "very mild or mild against CN"
    early = score(told, positive=["mild"])
    assert early["endpoint"]["words"] == "mild against CN or very mild"
    pooled = told.by_participant()
    expected = metrics.auroc(pooled.labels == 2, pooled.probabilities[:, 2])
    assert early["by_participant"]["scores"]["auroc"]["value"] == pytest.approx(
        expected
    )


@pytest.mark.parametrize(
    ("positive", "what"),
    [(["wild"], "did you mean 'mild'"), ([], "not none"), (list(CLASSES), "or all")],
)
def test_an_endpoint_that_tells_nothing_apart_is_refused(positive, what):
    with pytest.raises(ConfigError, match=what):
        score(predictions_of(THIRDS), positive=positive)


def test_one_participant_in_a_class_defines_nothing_about_the_class():
    report = score(predictions_of([*THIRDS[:59] % 2, 2]))
    section = report["by_participant"]
    alone = section["by_class"]["mild"]
    assert alone["sensitivity"] == {"value": None, "undefined": "one participant"}
    assert alone["auroc"] == {"value": None, "undefined": "one participant"}
    assert "without mild" in section["scores"]["balanced_accuracy"]["note"]
    assert "note" not in section["scores"]["accuracy"]
    images = report["by_image"]["by_class"]["mild"]
    assert images["n_images"] == 4
    assert images["auroc"]["undefined"] == "one participant"


@pytest.mark.parametrize(
    ("label", "undefined"),
    [
        ([0] * 20, {"auroc", "auprc", "sensitivity", "balanced_accuracy"}),
        ([0] * 20 + [1], {"auroc", "auprc", "sensitivity", "balanced_accuracy"}),
        ([0], {"auroc", "specificity", "macro_f1", "quadratic_kappa"}),
    ],
    ids=["one class", "one participant in the other", "one participant"],
)
def test_what_the_participants_do_not_define_says_why(label, undefined):
    report = score(predictions_of(label))
    scores = report["by_participant"]["scores"]
    assert undefined <= {k for k, e in scores.items() if e["value"] is None}
    assert all(e.get("undefined", "why") for e in entries_in(report))
    json.dumps(report, allow_nan=False)


@settings(deadline=None, max_examples=5)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=12), st.integers(0, 1000))
def test_a_report_never_holds_nan(label, seed):
    told = predictions_of(label, seed=seed, images=1)
    chance = predictions_of(label, seed=seed + 1, skill=0, images=1)
    report = score(told, floors={"chance": chance})
    json.dumps(report, allow_nan=False)


def test_nobody_labeled_is_said():
    told = predictions_of([0, 1])
    told.table["label"] = "n/a"
    report = score(told)
    assert "no labeled rows" in report["by_image"]["scores"]["accuracy"]["undefined"]
    assert report["notes"] == ["8 images have no label (n/a) and are not scored."]


def test_a_perfect_model_is_not_called_certain():
    report = score(predictions_of(THIRDS[:30], skill=50))
    scores = report["by_participant"]["scores"]
    assert scores["auroc"]["value"] == scores["accuracy"]["value"] == 1
    assert scores["auroc"]["method"] == "Newcombe"
    assert 0.7 < scores["auroc"]["low"] < 1
    by_image = report["by_image"]["scores"]["accuracy"]
    assert by_image["low"] == pytest.approx(scores["accuracy"]["low"])
    assert scores["macro_f1"]["low"] is None
    assert "same score" in scores["macro_f1"]["method"]


def test_unknown_participants_are_said_at_the_scores():
    told = predictions_of(THIRDS)
    told.table["participant_id"] = "n/a"
    report = score(told, floors={"chance": predictions_of(THIRDS, skill=0, seed=1)})
    assert report["by_participant"] is None
    assert report["by_image"]["n_participants"] is None
    assert BY_IMAGE_ONLY in report["notes"]
    assert report["above_floor"]["auroc"]["verdict"] == "above the floor"


def test_a_leak_that_was_allowed_is_said_first():
    told = predictions_of(THIRDS)
    assert score(told, leak_note="4 of 9 leak.")["notes"] == ["4 of 9 leak."]


def test_participants_with_two_labels_are_scored_by_image_only():
    told = predictions_of(THIRDS)
    told.table.loc[0, "label"] = "mild"
    report = score(told)
    assert report["by_participant"]["n_participants"] == 59
    assert "1 participants carry different labels" in report["notes"][0]


def test_classes_without_order_have_no_kappa():
    report = score(predictions_of(THIRDS), ordered=False)
    kappa = report["by_participant"]["scores"]["quadratic_kappa"]
    assert kappa["undefined"] == "the classes have no order of severity"


def test_folds_are_compared_within_and_pooled_beside():
    told = predictions_of(THIRDS)
    fold_of = {f"sub-{i:03d}": i % 5 for i in range(60)}
    report = score(told, fold_of=fold_of)
    section, pooled = report["by_participant"], told.by_participant()
    entry = section["scores"]["auroc"]
    risk, fold = 1 - pooled.probabilities[:, 0], np.arange(60) % 5
    assert entry["value"] == pytest.approx(
        auroc_within_folds(pooled.labels > 0, risk, fold)
    )
    assert entry["method"].endswith(
        "within classes and folds, conditional on the trained models"
    )
    assert section["auroc_pooled_over_folds"]["value"] == pytest.approx(
        metrics.auroc(pooled.labels > 0, risk)
    )
    with pytest.raises(ValueError, match="no fold is given for"):
        score(told, fold_of={})


def test_a_skilled_model_is_above_the_floor_and_an_unskilled_one_is_not():
    chance = predictions_of(THIRDS, skill=0, seed=1)
    skilled = score(predictions_of(THIRDS, skill=3), floors={"chance": chance})
    blind = score(predictions_of(THIRDS, skill=0), floors={"chance": chance})
    assert skilled["above_floor"]["auroc"]["verdict"] == "above the floor"
    assert blind["above_floor"]["auroc"]["verdict"] == "not above the floor"
    difference = skilled["above_floor"]["auroc"]["difference"]
    assert difference["value"] == pytest.approx(
        skilled["by_participant"]["scores"]["auroc"]["value"]
        - skilled["floors"]["chance"]["auroc"]["value"]
    )


def test_the_best_of_the_floors_is_the_one_to_beat():
    floors = {
        name: predictions_of(THIRDS, skill=skill, seed=1)
        for name, skill in [("blind", 0), ("good", 3), ("fair", 1)]
    }
    report = score(predictions_of(THIRDS, skill=0), floors=floors)
    assert report["above_floor"]["auroc"]["floor"] == "good"
    assert report["above_floor"]["auroc"]["verdict"] == "below the floor"
    assert list(report["floors"]) == ["blind", "good", "fair"]


def test_a_model_equal_to_its_floor_is_not_above_it():
    told = predictions_of(THIRDS)
    report = score(told, floors={"itself": told})
    assert report["above_floor"]["auroc"]["verdict"] == "not above the floor"
    assert report["above_floor"]["auroc"]["difference"]["value"] == 0


def test_a_floor_of_other_people_is_refused():
    told = predictions_of(THIRDS)
    with pytest.raises(ValueError, match="says nothing of"):
        score(told, floors={"other": predictions_of(THIRDS, prefix="ses")})
    with pytest.raises(ValueError, match="classes"):
        score(told, floors={"other": predictions_of(THIRDS, classes=("a", "b", "c"))})


def test_the_same_seed_gives_the_same_bytes():
    told = predictions_of(THIRDS)
    assert json.dumps(score(told, seed=3)) == json.dumps(score(told, seed=3))


def test_chance_and_calibration_stand_beside_the_scores():
    blind = score(predictions_of(THIRDS, skill=0))["by_participant"]
    skilled = score(predictions_of(THIRDS, skill=2))["by_participant"]
    assert blind["chance"]["p_value"] > 0.05 > skilled["chance"]["p_value"]
    assert skilled["chance"]["low"] < 0.5 < skilled["chance"]["high"]
    assert blind["calibration"]["slope"]["value"] < 0.6  # sure of nothing it knows
    assert 0 <= skilled["calibration"]["error"]["value"] < 1
    assert score(predictions_of([0, 0, 1]))["by_participant"]["chance"] is None


def test_the_early_endpoint_stands_beside_any_dementia():
    told = predictions_of(THIRDS)
    floor = predictions_of(THIRDS, skill=0, seed=1)
    report = score(told, floors={"chance": floor})
    early = report["early"]
    assert report["endpoint"]["words"] == "very mild or mild against CN"
    assert early["endpoint"]["words"] == "very mild against CN"
    assert early["n_participants"] == 40
    pooled = told.by_participant()
    mine = pooled.labels < 2
    share = pooled.probabilities[mine, 1] / pooled.probabilities[mine, :2].sum(axis=1)
    assert early["scores"]["auroc"]["value"] == pytest.approx(
        metrics.auroc(pooled.labels[mine] == 1, share)
    )
    assert early["above_floor"]["auroc"]["floor"] == "chance"
    assert score(told, positive=["mild"])["early"] is None  # asked already
    assert score(told, ordered=False)["early"] is None  # nothing is milder


def test_ppv_and_npv_are_those_of_a_stated_prevalence():
    told = predictions_of(THIRDS)
    assert "ppv" not in score(told)["by_participant"]["lines"]["half"]
    report = score(told, prevalence=0.1)
    half = report["by_participant"]["lines"]["half"]
    expected = predictive_values(
        half["sensitivity"]["value"], half["specificity"]["value"], prevalence=0.1
    )
    assert (half["ppv"]["value"], half["npv"]["value"]) == pytest.approx(expected)
    assert half["ppv"]["low"] < expected[0] < half["ppv"]["high"]
    for wrong in (0.0, 1.0, 7.0):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            score(told, prevalence=wrong)


def test_certain_predictive_values_are_not_called_certain():
    report = score(predictions_of(THIRDS[:30], skill=50), prevalence=0.1)
    ppv = report["by_participant"]["lines"]["half"]["ppv"]
    assert ppv["value"] == 1
    assert ppv["low"] < 0.5  # ten cleared people leave room for many false alarms
    assert "both intervals" in ppv["method"]


def test_thresholds_chosen_elsewhere_are_used_for_all_or_by_fold():
    told = predictions_of(THIRDS)
    people = told.by_participant()
    risk, positive = 1 - people.probabilities[:, 0], people.labels > 0
    line = Line(0.7, "validation")
    found = score(told, lines={"balanced": line})["by_participant"]["lines"]
    assert list(found) == ["half", "balanced"]
    assert found["balanced"]["chosen_on"] == "validation"
    assert found["balanced"]["sensitivity"]["value"] == pytest.approx(
        metrics.sensitivity(positive, risk > 0.7)
    )
    fold_of = {f"sub-{i:03d}": i % 2 for i in range(60)}
    each = {"0": 0.3, "1": 0.8}
    report = score(told, lines={"balanced": Line(each, "validation")}, fold_of=fold_of)
    own = np.where(np.arange(60) % 2 == 0, 0.3, 0.8)
    assert report["by_participant"]["lines"]["balanced"]["specificity"][
        "value"
    ] == pytest.approx(metrics.specificity(positive, risk > own))
    with pytest.raises(ValueError, match="of the folds"):
        score(told, lines={"balanced": Line(each, "validation")})


def test_folds_are_spread_out_beside_their_pool():
    told = predictions_of(THIRDS)
    assert score(told)["folds"] is None
    fold_of = {f"sub-{i:03d}": i % 4 for i in range(60)}
    found = score(told, fold_of=fold_of)["folds"]
    assert found["n_participants"] == {"0": 15, "1": 15, "2": 15, "3": 15}
    people = told.by_participant()
    mine = np.arange(60) % 4 == 2
    right = people.probabilities.argmax(axis=1) == people.labels
    accuracy = found["scores"]["accuracy"]
    assert accuracy["each"]["2"] == pytest.approx(right[mine].mean())
    assert accuracy["mean"] == pytest.approx(right.mean())
    assert accuracy["low"] <= accuracy["mean"] <= accuracy["high"]


def test_participants_are_grouped_by_what_is_known_of_them():
    told = predictions_of(np.arange(90) % 2, classes=("CN", "AD"))
    sex = {f"sub-{i:03d}": "F" if i < 50 else "M" for i in range(90)}
    site = {f"sub-{i:03d}": "one" for i in range(90)}
    found = score(told, groups={"sex": sex, "site": site})["subgroups"]
    assert set(found) == {"sex", "stage"}  # one site cannot be compared
    assert found["sex"]["F"]["n_participants"] == 50
    assert "auroc" in found["sex"]["M"]["gap"]
    assert found["stage"]["AD"]["scores"]["sensitivity"]["value"] is not None
    told.table["participant_id"] = "n/a"
    path_sex = {path: "F" if i < 200 else "M" for i, path in enumerate(told.table.path)}
    by_image = score(told, groups={"sex": path_sex})["subgroups"]
    assert "F" in by_image["sex"]


def test_prediction_sets_are_tested_on_people_they_were_not_calibrated_on():
    found = score(predictions_of(THIRDS, skill=2))["by_participant"]["sets"]
    assert found["level"] == 0.9
    assert 0.8 <= found["coverage"]["value"] <= 1
    assert found["right_when_answered"]["value"] > 0.8
    few = score(predictions_of(THIRDS[:9]))["by_participant"]["sets"]
    assert "cannot calibrate at this level: 90% needs 9" in few["undefined"]


def test_scores_too_good_to_be_true_are_warned_of():
    assert score(predictions_of(THIRDS))["warnings"] == []
    (warning,) = score(predictions_of(THIRDS, skill=50))["warnings"]
    assert "on 240 images of 60 participants" in warning


def test_visits_are_scored_where_somebody_came_twice():
    told = predictions_of(THIRDS)
    assert score(told)["by_session"] is None
    told.table["session_id"] = np.tile(["ses-1", "ses-1", "ses-2", "ses-2"], 60)
    told.table.loc[:1, "label"] = "mild"  # the first participant has converted since
    report = score(told)
    assert report["by_session"]["n_participants"] == 60
    assert sum(map(sum, report["by_session"]["confusion_matrix"])) == 120
    assert report["by_participant"]["n_participants"] == 59
    method = report["by_session"]["scores"]["accuracy"]["method"]
    assert method == "percentile bootstrap over participants"
