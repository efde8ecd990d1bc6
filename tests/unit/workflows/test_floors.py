"""The floors of a scored part, and what they expose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.phantoms import make_phantoms
from vit_dementia.evaluation.scores import score
from vit_dementia.preparation.pack import pack_scans
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.workflows.floors import (
    CHANCE,
    ERASED,
    LINEAR,
    MAJORITY,
    NEIGHBOR,
    SILHOUETTE,
    Part,
    floor_predictions,
)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    """Return a cohort of phantoms and their slices, at half the size."""
    data = make_phantoms(
        tmp_path_factory.mktemp("phantoms") / "data",
        participants=40,
        classes=2,
        slices=2,
        seed=4,
        workers=1,
    )
    cohort = Cohort.from_path(data)
    cache = tmp_path_factory.mktemp("cache")
    preparation = SlicePreprocessing(size=(104, 88))
    cohort, images = pack_scans(cohort, preparation, cache=cache)
    return cohort, np.array(images)


def parts_of(cohort, images):
    """Train on half of the people of each class and score the others."""
    people = sorted(set(cohort.table.participant_id))
    train = cohort.table.participant_id.isin(people[::2]).to_numpy()
    known, asked = (Part(cohort, images, np.flatnonzero(m)) for m in (train, ~train))
    return known, asked


def floors_of(cohort, images, answer_erased=None):
    known, asked = parts_of(cohort, images)
    told = floor_predictions(
        known,
        asked,
        classes=cohort.classes,
        trained_on=known.label[known.first],
        answer_erased=answer_erased,
    )
    return told, asked


def with_border(cohort, images):
    """Draw a bright border around the slices of everybody with dementia."""
    marked = images.copy()
    mine = cohort.labels() == 1
    for edge in (np.s_[:, :, :3], np.s_[:, :, -3:], np.s_[..., :3], np.s_[..., -3:]):
        chosen = marked[mine]
        chosen[edge] = 250
        marked[mine] = chosen
    return marked


def auroc_of(predictions):
    return score(predictions)["by_participant"]["scores"]["auroc"]["value"]


def test_floors_that_can_be_computed_are_there_and_speak_of_the_scored(phantoms):
    told, asked = floors_of(*phantoms)
    assert {MAJORITY, CHANCE, NEIGHBOR, LINEAR, SILHOUETTE} <= set(told)
    assert "age and sex alone" in told  # phantoms have no site
    for predictions in told.values():
        assert predictions.table.path.tolist() == (
            asked.cohort.table.path.iloc[asked.rows].tolist()
        )
    pooled = told[CHANCE].by_participant().probabilities
    assert set(pooled.ravel()) == {0.0, 1.0}  # one die for a participant


def test_a_planted_border_is_exposed_by_the_brain_erased_floor(phantoms):
    cohort, images = phantoms
    honest, _ = floors_of(cohort, images)
    assert auroc_of(honest[SILHOUETTE]) < 0.85

    def reads_the_border(slices):
        bright = slices[:, 0, :3].mean(axis=(1, 2)) / 255
        return np.stack([1 - bright, bright], axis=1)

    marked = with_border(cohort, images)
    told, asked = floors_of(cohort, marked, lambda rows: (reads_the_border(rows), None))
    assert auroc_of(told[SILHOUETTE]) > 0.95
    assert auroc_of(told[ERASED]) == 1.0
    answers = reads_the_border(marked[asked.rows])
    model = replace(told[MAJORITY], table=told[MAJORITY].table.copy())
    model.table[["p_" + name for name in cohort.classes]] = answers
    model.table["predicted"] = np.array(cohort.classes)[answers.argmax(axis=1)]
    report = score(model, floors=told)
    assert report["above_floor"]["auroc"]["floor"] in (SILHOUETTE, ERASED)
    assert report["above_floor"]["auroc"]["verdict"] == "not above the floor"


def test_erasing_the_head_takes_the_diagnosis_away(phantoms):
    cohort, images = phantoms

    def reads_the_head(slices):
        dark = (slices[:, 0, 30:70, 25:60] < 90).mean(axis=(1, 2))
        return np.stack([1 - dark, dark], axis=1)

    told, _ = floors_of(cohort, images, lambda rows: (reads_the_head(rows), None))
    _, asked = parts_of(cohort, images)
    told_whole = np.ptp(reads_the_head(images[asked.rows])[:, 1])
    erased = told[ERASED].probabilities[:, 1]
    assert np.ptp(erased) < told_whole / 3


def test_facts_that_few_have_or_all_share_are_no_floor(phantoms):
    cohort, images = phantoms
    table = cohort.table.copy()
    table["sex"] = "F"
    table.loc[: len(table) // 2, "age"] = np.nan
    told, _ = floors_of(replace(cohort, table=table), images)
    assert not any("alone" in name for name in told)


def test_without_the_training_scans_only_counts_are_floors(phantoms):
    cohort, images = phantoms
    known, asked = parts_of(cohort, images)
    told = floor_predictions(
        None, asked, classes=cohort.classes, trained_on=known.label[known.first]
    )
    assert set(told) == {MAJORITY, CHANCE}
