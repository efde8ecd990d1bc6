"""The phantoms are no gift: a linear model on pixels sees a part of the difference."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.phantoms import make_phantoms
from vit_dementia.evaluation.floors import linear, mean_and_spread

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[0, 1])
def cohort(request, tmp_path_factory) -> Cohort:
    out = tmp_path_factory.mktemp("difficulty") / "cohort"
    make_phantoms(out, participants=400, slices=6, seed=request.param)
    return Cohort.read(out)


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
