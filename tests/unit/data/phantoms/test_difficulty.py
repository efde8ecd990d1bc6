"""The phantoms are no gift: a linear model on pixels sees a part of the difference."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.phantoms import make_phantoms
from vit_dementia.evaluation.floors import linear, mean_and_spread
from vit_dementia.inference.compute import make_fabric
from vit_dementia.inference.forward import logits_of, softmax
from vit_dementia.models import create_model
from vit_dementia.preparation.pack import pack_scans
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.recipes import read_recipe

pytestmark = pytest.mark.slow


def people_who_are_sick(cohort: Cohort) -> pd.Series:
    label = cohort.table.groupby("participant_id")["label"].first()
    return label != "NonDemented"


@pytest.fixture(scope="module", params=[0, 1])
def cohort(request, tmp_path_factory) -> Cohort:
    out = tmp_path_factory.mktemp("difficulty") / "cohort"
    make_phantoms(out, participants=400, slices=6, seed=request.param)
    return Cohort.read(out)


@pytest.fixture(scope="module")
def prepared(cohort) -> np.ndarray:
    """Return the slices as the demo's network gets them, n h w."""
    size = tuple(read_recipe("demo")["data"]["image_size"])
    return pack_scans(cohort, SlicePreprocessing(size=size))[1][:, 0]


def test_linear_floor_lies_between_70_and_90(cohort):
    images = np.stack([np.asarray(Image.open(path)) for path in cohort.files()])
    ids, features = mean_and_spread(images, cohort.table["participant_id"].tolist())
    label_of = dict(zip(cohort.table["participant_id"], cohort.labels(), strict=True))
    grade = np.array([label_of[who] for who in ids])
    sick = (grade > 0).astype(int)
    score = np.zeros(len(sick))
    for learn, held_out in StratifiedKFold(5, shuffle=True, random_state=0).split(
        features, grade
    ):
        told = linear(features[learn], sick[learn], features[held_out], num_classes=2)
        score[held_out] = told[:, 1]
    assert 0.70 <= roc_auc_score(sick, score) <= 0.90
    mild = grade < 2
    assert roc_auc_score(sick[mild], score[mild]) <= 0.90


def test_age_tells_a_little(cohort):
    people = cohort.table.drop_duplicates("participant_id")
    sick = people["label"] != "NonDemented"
    assert 0.5 <= roc_auc_score(sick, people["age"]) <= 0.7


def test_mean_brightness_tells_little(cohort):
    images = [np.asarray(Image.open(path)) for path in cohort.files()]
    brightness = cohort.table.assign(mean=[i[i > 0].mean() for i in images])
    people = brightness.groupby("participant_id")["mean"].mean()
    sick = brightness.groupby("participant_id")["label"].first() != "NonDemented"
    assert 0.5 <= roc_auc_score(sick, -people) <= 0.75


@pytest.fixture(scope="module")
def untrained(cohort, prepared) -> list[float]:
    """Return the AUROC of twelve networks that nobody trained, heads random too."""
    sick = people_who_are_sick(cohort)
    return [
        roc_auc_score(sick, score_untrained(cohort, prepared, seed)[sick.index])
        for seed in range(12)
    ]


def test_untrained_networks_know_nothing(untrained):
    """Half of them rank people one way and half the other: the median is chance."""
    assert 0.4 <= np.median(untrained) <= 0.6


@pytest.mark.xfail(
    strict=True,
    reason="atrophy darkens a brain, and random features rank people by brightness: "
    "0.32 to 0.68 among 12 of them on each of these cohorts of 400 people",
)
def test_no_single_untrained_network_ranks_by_brightness(untrained):
    assert min(untrained) >= 0.4
    assert max(untrained) <= 0.6


def score_untrained(cohort: Cohort, prepared: np.ndarray, seed: int) -> pd.Series:
    settings = read_recipe("demo")
    model = create_model(
        settings["model"],
        num_classes=len(cohort.classes),
        image_size=tuple(settings["data"]["image_size"]),
        generator=torch.Generator().manual_seed(seed),
        **settings["vit"] | {"initialization": "timm"},  # the paper's head is zero
    )
    preprocessing = SlicePreprocessing(
        size=prepared.shape[1:],
        mean=float(prepared.mean() / 255),
        std=float(prepared.std() / 255),
    )
    logits = logits_of(
        model,
        prepared[:, None],
        np.arange(len(prepared)),
        preprocessing,
        make_fabric("cpu", "fp32"),
    )
    any_dementia = pd.Series(1 - softmax(logits)[:, 0])
    return any_dementia.groupby(cohort.table["participant_id"].to_numpy()).mean()
