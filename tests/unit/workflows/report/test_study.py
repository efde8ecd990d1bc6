"""What a run folder says of a study: counts that add up, and no name of anybody."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from vit_dementia.data.splits import k_folds, roles
from vit_dementia.workflows.report.options import ReportOptions
from vit_dementia.workflows.report.study import EXTERNAL, OUT_OF_FOLD, study_of


def test_everybody_who_came_in_went_somewhere(run, cohort) -> None:
    flow = study_of(run, "test")["flow"]
    assert flow["came_in"] == flow["used"] == {"participants": 30, "scans": 60}
    assert flow["left_out"] == {"scans": 0, "participants": 0, "reasons": {}}
    assert flow["aside"] == 0
    assert sum(part["scans"] for part in flow["parts"]) == 60
    assert sum(part["participants"] for part in flow["parts"]) == 30
    role_of_row = roles(cohort, run.split(cohort).folds[0])
    for part in flow["parts"]:
        assert part["scans"] == (role_of_row == part["name"]).sum()
    assert [part["name"] for part in flow["parts"] if part["scored"]] == ["test"]


def test_what_could_not_be_read_is_counted_by_reason_and_not_named(run, cohort) -> None:
    broken = cohort.table.path[:2].tolist()
    rest = cohort.without({path: f"{path}: is empty (0 bytes)" for path in broken})
    study = study_of(run, "test", readable=rest)
    assert study["flow"]["left_out"] == {
        "scans": 2,
        "participants": 1,
        "reasons": {"empty file": 2},
    }
    assert study["flow"]["came_in"]["scans"] == 60
    assert study["flow"]["used"] == {"participants": 29, "scans": 58}
    assert not [path for path in broken if path in json.dumps(study)]


def test_scans_in_no_part_of_the_split_are_said(run, cohort, make_run, tmp_path):
    split = run.split(cohort)
    fold = split.folds[0]
    smaller = type(fold)(fold.train[1:], fold.val, fold.test)
    other = type(split)(split.unit, split.seed, (smaller,), split.cohort)
    study = study_of(make_run(tmp_path / "other", cohort, split=other), "test")
    assert study["flow"]["aside"] == 2


def test_energy_is_time_times_watts_or_not_said(run) -> None:
    assert study_of(run, "test")["compute"]["energy_kwh"] is None
    compute = study_of(run, "test", options=ReportOptions(watts=50.0))["compute"]
    assert compute["training_seconds"] == 180
    assert compute["energy_kwh"] == pytest.approx(180 / 3600 * 50 / 1000)
    assert compute["images_per_second"] == 20


def test_settings_say_what_differs_and_name_no_folder(make_run, cohort, tmp_path):
    run = make_run(tmp_path / "run", cohort, init="/there/somebody/weights.pth")
    found = {one["name"]: one for one in study_of(run, "test")["settings"]}
    assert found["init"]["value"] == "weights.pth"
    assert found["train.epochs"] == {
        "name": "train.epochs", "value": 3, "is_default": False
    }  # fmt: skip
    assert found["train.batch_size"]["is_default"]
    hub = make_run(tmp_path / "hub", cohort, init="hf-hub:owner/name")
    found = {one["name"]: one for one in study_of(hub, "test")["settings"]}
    assert found["init"]["value"] == "hf-hub:owner/name"


def test_a_cross_validation_scores_everybody_once(
    make_run, write_training, cohort, tmp_path
) -> None:
    split = k_folds(cohort, folds=3, val=0.2, seed=0)
    whole = make_run(tmp_path / "cv", cohort, split=split)
    for path in ("history.jsonl", "model/config.json"):
        (whole.path / path).unlink()
    for fold in range(3):
        write_training(whole.path / "folds" / str(fold), leakage=f"said {fold % 2}")
    study = study_of(whole, OUT_OF_FOLD)
    parts = study["flow"]["parts"]
    assert [part["name"] for part in parts] == ["fold 1", "fold 2", "fold 3"]
    assert sum(part["participants"] for part in parts) == 30
    assert all(part["scored"] for part in parts)
    assert study["compute"]["models"] == 3
    assert study["compute"]["training_seconds"] == 3 * 180
    assert study["history"] == []  # three curves are no curve
    assert study["audit"]["leakage"] == ["said 0", "said 1"]
    assert {"model of fold 1", "model of fold 3"} < set(study["hashes"])


def test_an_external_test_counts_the_others_and_no_part_of_the_split(
    run, cohort
) -> None:
    others = cohort.select(range(20))
    study = study_of(run, EXTERNAL, others=others)
    assert study["flow"]["came_in"] == {"participants": 10, "scans": 20}
    (part,) = study["flow"]["parts"]
    assert part["scored"]
    assert part["purpose"] == "other people than the run was given"
    assert study["people"]["columns"] == ["external", "all"]
    assert study["hashes"]["external cohort"] == others.fingerprint
    assert study["hashes"]["cohort"] == cohort.fingerprint


def test_people_are_counted_as_pandas_counts_them(run, cohort) -> None:
    table = study_of(run, "test")["people"]
    cells = {row["name"]: row["cells"][-1] for row in table["rows"]}
    people = cohort.table.groupby("participant_id").first()
    age = pd.to_numeric(people.age)
    assert table["columns"] == ["train", "val", "test", "all"]
    assert cells["participants"] == "30"
    assert cells["MildDemented"] == "10 (33%)"
    assert cells["age in years: mean (SD), range"] == (
        f"{age.mean():.1f} ({age.std():.1f}), {age.min():.0f} to {age.max():.0f}"
    )
    assert cells["female"] == "15 (50%)"
    assert cells["sites or scanners"] == "1"
