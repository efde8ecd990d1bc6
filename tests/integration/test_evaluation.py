"""Evaluation end to end: calibrated runs, other people's scans, tables, repetitions."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vit_dementia.cli.app import run
from vit_dementia.evaluation.metrics import auroc
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.inference.predictor import Predictor

from .conftest import CLASSES, TINY, paint_cohort


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder of a short run on forty people, and its scans."""
    root = tmp_path_factory.mktemp("trained")
    data = paint_cohort(root / "data", people=60)
    told = ["train", data, *TINY, "--epochs=3", "--data.val=0.3", "--data.test=0.3"]
    told += ["--out", root / "run", "--cache", root / "cache"]
    assert run([str(one) for one in told]) == 0
    return root


def others(root, *, people=16, first=500):
    """Paint scans of other people."""
    data = paint_cohort(root / "others", people=people)
    for path in sorted(data.rglob("*.png")):
        number = int(path.name[4:7]) + first
        pixels = np.asarray(Image.open(path)).copy()
        pixels[0, 0] = 9  # no byte-for-byte copy of a training scan
        path.unlink()
        Image.fromarray(pixels).save(path.with_name(f"sub-{number}{path.name[7:]}"))
    return data


def test_a_run_is_calibrated_by_training_and_gets_its_sets_by_the_test_part(
    trained, command, tmp_path
):
    shutil.copytree(trained / "run", tmp_path / "run")
    path = tmp_path / "run" / "model" / "calibration.json"
    before = json.loads(path.read_text())
    assert before["sets"] is None
    assert before["n_participants"] >= 10
    assert before["scaling"]["method"] == "temperature"
    assert "balanced" in before["lines"]
    told = command(
        *("evaluate", "run", trained / "data", "--cache", trained / "cache"),
        *("--json", "--prevalence=0.1", "--robustness"),
    )
    metrics = json.loads(told.stdout)
    lines = metrics["by_participant"]["lines"]
    assert set(lines) == {"half", "balanced", "specificity_90", "specificity_95"}
    assert lines["balanced"]["threshold"] == before["lines"]["balanced"]
    assert lines["half"]["ppv"]["value"] is not None
    assert metrics["model_calibration"]["scaling"] == before["scaling"]
    assert "this model, brain erased" in metrics["floors"]
    after = json.loads(path.read_text())
    assert after["lines"] == before["lines"]
    assert (
        after["sets"]["n_participants"] == metrics["by_participant"]["n_participants"]
    )
    table = pd.read_csv(
        tmp_path / "run" / "evaluation" / "test" / "robustness.tsv", sep="\t"
    )
    assert len(table) == (1 + 7 * 3) * 3
    clean = table[(table.degradation == "none") & (table.score == "auroc")]
    scores = metrics["by_participant"]["scores"]
    assert clean.value.item() == pytest.approx(scores["auroc"]["value"])
    assert clean.floor_value.notna().all()
    assert len(metrics["robustness"]) == 22


def test_predict_says_yes_no_or_not_sure_as_the_calibration_says(
    trained, command, tmp_path
):
    shutil.copytree(trained / "run", tmp_path / "run")
    command("evaluate", "run", trained / "data", "--cache", trained / "cache")
    scans = sorted((trained / "data").rglob("*.png"))[:24]
    told = command("predict", "run", *scans, "--json", "--out", "answers").stdout
    document = json.loads(told)
    calibration = Predictor.load(tmp_path / "run").model.calibration
    people = Predictions.read(tmp_path / "answers" / "predictions_participants.tsv")
    expected = calibration.answers(people.probabilities)
    found = {one["participant_id"]: one for one in document["participants"]}
    for who, answer in zip(people.table.participant_id, expected, strict=True):
        assert found[who]["early"] == answer
        assert found[who]["abstained"] == (answer == "not sure")
    assert {one["early"] for one in found.values()} <= {"yes", "no", "not sure"}
    for one in document["results"]:
        assert one["early"] == found[one["participant_id"]]["early"]
    table = pd.read_csv(tmp_path / "answers" / "predictions.tsv", sep="\t")
    assert table.abstained.tolist() == [one["abstained"] for one in document["results"]]
    assert document["model"]["calibration"]["positive"] == [CLASSES[1]]


def test_a_calibration_of_other_weights_is_refused(trained, command, tmp_path):
    shutil.copytree(trained / "run", tmp_path / "run")
    path = tmp_path / "run" / "model" / "calibration.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model": "0" * 64}))
    told = command("predict", "run", trained / "data", check=2)
    assert "belongs to other weights" in told.stderr


@pytest.mark.usefixtures("unabridged")
def test_other_peoples_scans_are_an_external_test(trained, command, tmp_path):
    data = others(tmp_path)
    told = command(
        "evaluate", trained / "run", data, "--json", "--cache", trained / "cache"
    )
    metrics = json.loads(told.stdout)
    assert metrics["by_participant"]["n_participants"] == 16
    assert metrics["notes"][0].startswith("External test: other people")
    assert "linear model on pixels" in metrics["floors"]
    (folder,) = (trained / "run" / "evaluation").glob("external-*")
    assert (folder / "report.html").is_file()
    null = metrics["floors_relearned"]["linear model on pixels"]
    assert null["deals"] == sum(null["histogram"]) == 200
    report = json.loads((folder / "report.json").read_text())
    (part,) = report["flow"]["parts"]
    assert (part["name"], part["participants"], part["scored"]) == (
        "external",
        16,
        True,
    )
    assert report["audit"][0].startswith("Nobody scored here was found among those who")
    assert {"name": "seed", "value": 0, "is_default": True} in report["settings"]
    assert report["environment"]
    assert "external cohort" in report["hashes"]


def test_an_external_test_without_the_training_scans_has_fewer_floors(
    trained, command, tmp_path
):
    shutil.copytree(trained / "run", tmp_path / "elsewhere" / "run")
    shutil.copytree(trained / "data", tmp_path / "kept")
    data = others(tmp_path)
    shutil.move(trained / "data", tmp_path / "gone")
    try:
        told = command("evaluate", tmp_path / "elsewhere" / "run", data, "--json")
    finally:
        shutil.move(tmp_path / "gone", trained / "data")
    metrics = json.loads(told.stdout)
    assert "majority class" in metrics["floors"]
    assert "nearest neighbor" not in metrics["floors"]
    assert any("not at hand" in note for note in metrics["notes"])


@pytest.mark.parametrize("how", ["same id", "same bytes"])
def test_whoever_was_seen_in_training_is_refused(trained, command, tmp_path, how):
    data = others(tmp_path)
    split = json.loads((trained / "run" / "split.json").read_text())
    who = split["folds"][0]["train"][0]
    source = next((trained / "data").rglob(f"{who}_*.png"))
    name = source.name if how == "same id" else "sub-777_slice-0.png"
    target = data / source.parent.name / name
    shutil.copy(source, target)
    if how == "same id":
        Image.fromarray(np.asarray(Image.open(source)) // 2).save(target)
    told = command("evaluate", trained / "run", data, check=3)
    assert "seen in training" in told.stderr
    assert (who if how == "same id" else "sub-777") in told.stderr


def test_labels_that_the_model_does_not_know_are_refused(trained, command, tmp_path):
    data = others(tmp_path)
    (data / CLASSES[1]).rename(data / "Tumor")
    told = command("evaluate", trained / "run", data, check=2)
    assert "--label-map" in told.stderr


def test_a_table_of_any_tool_is_scored(command, tmp_path):
    rng = np.random.default_rng(0)
    label = np.arange(60) % 2
    risk = np.clip(0.5 + 0.2 * (2 * label - 1) + rng.normal(0, 0.2, 60), 0.01, 0.99)
    table = pd.DataFrame(
        {
            "participant_id": [f"OAS1_{i:04d}_MR1" for i in range(60)],
            "label": np.array(CLASSES)[label],
            f"p_{CLASSES[1]}": risk,  # not in order of severity
            f"p_{CLASSES[0]}": 1 - risk,
            "sex": np.where(np.arange(60) < 30, "F", "M"),
        }
    )
    table.to_csv(tmp_path / "tool.tsv", sep="\t", index=False)
    told = command("evaluate", "--predictions", "tool.tsv", "--json", "--out", "scored")
    metrics = json.loads(told.stdout)
    assert metrics["classes"] == list(CLASSES)
    scores = metrics["by_participant"]["scores"]
    assert scores["auroc"]["value"] == pytest.approx(auroc(label == 1, risk))
    assert set(metrics["floors"]) == {"majority class", "stratified chance"}
    assert set(metrics["subgroups"]["sex"]) == {"F", "M"}
    assert any("nothing of how the model was trained" in n for n in metrics["notes"])
    written = pd.read_csv(tmp_path / "scored" / "predictions.tsv", sep="\t")
    assert written.participant_id[0] == "OAS1_0000"
    # Only labels and probabilities, as the least there can be.
    table[["label", f"p_{CLASSES[0]}", f"p_{CLASSES[1]}"]].to_csv(
        tmp_path / "least.tsv", sep="\t", index=False
    )
    least = json.loads(
        command("evaluate", "--predictions", "least.tsv", "--json").stdout
    )
    assert least["by_participant"] is None
    assert least["by_image"]["scores"]["auroc"]["value"] == pytest.approx(
        scores["auroc"]["value"]
    )


def test_a_run_or_a_table_is_needed_and_not_both(trained, command, tmp_path):
    assert "needs a RUN" in command("evaluate", check=2).stderr
    told = command("evaluate", trained / "run", "--predictions", "x.tsv", check=2)
    assert "instead of it" in told.stderr


@pytest.mark.slow
def test_repetitions_are_scored_apart_and_their_spread_is_told(command, tmp_path):
    data = paint_cohort(tmp_path / "data", people=20)
    command(
        *("cross-validate", data, *TINY, "--epochs=1", "--folds=2", "--repeats=2"),
        *("--out", "cv"),
    )
    folder = tmp_path / "cv" / "evaluation"
    first, second = (
        json.loads((folder / name / "metrics.json").read_text())
        for name in ("out-of-fold", "out-of-fold-2")
    )
    for metrics in (first, second):
        assert metrics["by_participant"]["n_participants"] == 20
        assert len(metrics["folds"]["n_participants"]) == 2
    assert second["repeats"] is None
    spread = first["repeats"]["scores"]["accuracy"]
    assert first["repeats"]["n"] == 2
    assert spread["each"] == {
        "1": first["by_participant"]["scores"]["accuracy"]["value"],
        "2": second["by_participant"]["scores"]["accuracy"]["value"],
    }
    before = (folder / "out-of-fold" / "metrics.json").read_bytes()
    shutil.rmtree(folder)
    shutil.rmtree(tmp_path / "cv" / "folds" / "3")
    command("cross-validate", "--resume", "cv")
    assert (folder / "out-of-fold" / "metrics.json").read_bytes() == before
