"""The demo does what the README says; phantoms are neither easy nor hopeless."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from vit_dementia.files import read_json

pytestmark = pytest.mark.slow
SEEDS = range(5)


def _command(*arguments: object) -> None:
    subprocess.run(
        [sys.executable, "-m", "vit_dementia", *map(str, arguments)],
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
    )


@pytest.fixture(scope="module")
def demos(tmp_path_factory) -> list[Path]:
    """Return the folders of five demos, two run at a time."""
    folder = tmp_path_factory.mktemp("demos")
    outs = [folder / str(seed) for seed in SEEDS]
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(
            pool.map(
                lambda seed: _command("demo", "--seed", seed, "--out", outs[seed]),
                SEEDS,
            )
        )
    return outs


def _metrics(out: Path) -> dict[str, Any]:
    return read_json(out / "run" / "evaluation" / "test" / "metrics.json")


def test_the_demo_scores_enough_people_well_above_the_linear_floor(demos) -> None:
    found = [_metrics(out) for out in demos]
    aurocs = [m["by_participant"]["scores"]["auroc"] for m in found]
    floors = [m["floors"]["linear model on pixels"]["auroc"]["value"] for m in found]
    assert all(m["by_participant"]["n_participants"] >= 20 for m in found)
    assert all(entry["low"] < entry["value"] < entry["high"] for entry in aurocs)
    assert statistics.median(entry["value"] for entry in aurocs) > 0.9
    assert 0.70 <= statistics.median(floors) <= 0.90


def test_nobody_sees_the_mildest_grade_too_well(demos) -> None:
    for out in demos:
        table = out / "run" / "evaluation" / "test" / "predictions_participants.tsv"
        people = pd.read_csv(table, sep="\t")
        people = people[people.label.isin(["NonDemented", "VeryMildDemented"])]
        is_mildest = people.label == "VeryMildDemented"
        assert roc_auc_score(is_mildest, 1 - people.p_NonDemented) <= 0.97, out.name


def test_the_report_and_the_masks_are_there(demos) -> None:
    assert (demos[0] / "run" / "evaluation" / "test" / "report.html").is_file()
    assert any((demos[0] / "data" / "masks").rglob("*.png"))
