"""Scores of subgroups."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vit_dementia.evaluation.measures import MEASURES
from vit_dementia.evaluation.rows import Rows
from vit_dementia.evaluation.subgroups import age_bands, by_group


def rows_of(n, skill):
    rng = np.random.default_rng(0)
    label = np.arange(n) % 2
    risk = 1 / (1 + np.exp(-(rng.normal(size=n) + skill * (2 * label - 1))))
    return Rows(
        classes=("CN", "AD"),
        label=label,
        probability=np.stack([1 - risk, risk], axis=1),
        predicted=(risk > 0.5).astype(int),
        participant=np.arange(n).astype(str),
        num_scans=np.ones(n, int),
        positive=("AD",),
    )


def test_each_group_has_its_own_scores_and_its_gap_to_the_largest():
    skill = np.repeat([1.5, 0.0], [80, 60])
    group = np.repeat(["first", "second"], [80, 60])
    rows = rows_of(140, skill)
    found = by_group(rows, group, seed=0)
    assert found["first"]["n_participants"] == 80
    assert "gap" not in found["first"]
    gap = found["second"]["gap"]
    assert gap["to"] == "first"
    assert gap["auroc"]["value"] == pytest.approx(
        found["second"]["scores"]["auroc"]["value"]
        - found["first"]["scores"]["auroc"]["value"]
    )
    assert gap["auroc"]["high"] < 0
    json.dumps(found, allow_nan=False)


def test_one_group_is_everybody():
    rows = rows_of(60, 1.0)
    found = by_group(rows, np.array(["all"] * 60), seed=0)
    assert found["all"]["scores"]["auroc"]["value"] == MEASURES["auroc"].value(rows)


def test_small_groups_and_one_sided_ones_are_too_few_to_say():
    rows = rows_of(60, 1.0)
    small = by_group(rows, np.repeat(["few", "many"], [19, 41]), seed=0)
    assert small["few"]["too_few"].startswith("too few to say: 19 participants")
    sided = by_group(rows, np.where(rows.label == 1, "ill", "well"), seed=0)
    assert "0 participants on the negative side" in sided["ill"]["too_few"]
    assert "0 participants on the positive side" in sided["well"]["too_few"]


def test_ages_stand_in_their_band():
    ages = np.array([20.0, 64.5, 69.9, 70.0, 79.9, 80.0, np.nan])
    assert age_bands(ages) == [
        "below 60",
        "60 to 69",
        "60 to 69",
        "70 to 79",
        "70 to 79",
        "80 and above",
        "n/a",
    ]
