"""Intervals and prediction sets hold the truth as often as they say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
STUDIES = 2000
SCRIPT = Path(__file__).resolve().parents[3] / "docs" / "tables" / "coverage.py"
CASES = [(30, 30, 0.75), (30, 30, 0.90), (75, 75, 0.75), (75, 75, 0.90)]


@pytest.fixture(scope="module")
def simulation():
    """Load the script that makes the tables of the documentation."""
    spec = importlib.util.spec_from_file_location("coverage_tables", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("images", [1, 4])
@pytest.mark.parametrize(("positives", "negatives", "auroc"), CASES)
def test_intervals_of_auroc_hold_the_truth(
    simulation, positives, negatives, auroc, images
):
    found = simulation.auroc_coverage(
        positives, negatives, auroc, images=images, studies=STUDIES
    )
    del found["percentile"]  # too narrow, shown for comparison
    assert len(found) == (2 if images == 1 else 1)
    for name, share in found.items():
        assert 0.93 <= share <= 0.97, name


@pytest.mark.parametrize(("positives", "negatives", "auroc"), CASES)
def test_intervals_of_accuracy_hold_the_truth_unless_drawn_within_classes(
    simulation, positives, negatives, auroc
):
    found = simulation.accuracy_coverage(positives, negatives, auroc, studies=STUDIES)
    assert 0.93 <= found["Wilson"] <= 0.97
    assert 0.925 <= found["bootstrap over everybody"] <= 0.97
    assert found["bootstrap within classes"] < found["bootstrap over everybody"]


@pytest.mark.parametrize(("people", "level"), [(20, 0.9), (40, 0.9), (60, 0.8)])
def test_sets_hold_the_truth_when_calibrated_on_others(simulation, people, level):
    found = simulation.set_coverage(people, level, studies=STUDIES)
    assert found["on others"] >= level - 0.01
    assert found["on those who chose"] < found["on others"]


@pytest.mark.parametrize(("people", "level"), [(40, 0.9), (100, 0.9), (100, 0.8)])
def test_sets_of_five_models_together_hold_the_truth(simulation, people, level):
    found = simulation.crossed_coverage(people, level, studies=STUDIES // 4)
    # Five models that disagree leave more classes in than one would: never too few.
    assert level - 0.01 <= found["CV+"] <= level + 0.09
