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
    found = []
    for out in demos:
        table = out / "run" / "evaluation" / "test" / "predictions_participants.tsv"
        people = pd.read_csv(table, sep="\t")
        people = people[people.label.isin(["NonDemented", "VeryMildDemented"])]
        is_mildest = people.label == "VeryMildDemented"
        found.append(roc_auc_score(is_mildest, 1 - people.p_NonDemented))
    # Of some 20 people with it a seed; one seed alone is off by 0.03 either way.
    assert statistics.median(found) <= 0.97


def test_untrained_weights_know_nothing(demos, tmp_path) -> None:
    # The paper's head begins at zero. A random head on random features ranks people by
    # how bright they are, which goes with the ventricles: 0.28 and 0.38 were measured,
    # outside 0.4 to 0.6. At zero the score is 0.5 by construction: this proves little.
    values = []
    for seed in range(3):
        out = tmp_path / str(seed)
        _command(
            "train", demos[seed] / "data", "--recipe", "demo", "--epochs", 0,
            "--seed", seed, "--out", out,
        )  # fmt: skip
        _command("evaluate", out)
        metrics = read_json(out / "evaluation" / "test" / "metrics.json")
        values.append(metrics["by_participant"]["scores"]["auroc"]["value"])
    assert 0.4 <= statistics.median(values) <= 0.6


def test_the_report_and_the_masks_are_there(demos) -> None:
    assert (demos[0] / "run" / "evaluation" / "test" / "report.html").is_file()
    assert any((demos[0] / "data" / "masks").rglob("*.png"))
