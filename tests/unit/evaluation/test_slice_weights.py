"""Slices pooled by attention, in plain numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special

from vit_dementia.errors import ManifestError
from vit_dementia.evaluation.calibrated import Calibration
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.scaling import Scaling, fit_scaling
from vit_dementia.evaluation.slice_weights import slice_weights

seeds = st.integers(0, 10_000)


def weighed(seed=0, *, sizes=(4, 1, 3, 2), alike=False):
    """Return scores, visits and the table of two people who came twice each."""
    rng = np.random.default_rng(seed)
    visits = np.repeat(np.arange(len(sizes)), sizes)
    scores = np.zeros(len(visits)) if alike else rng.normal(0, 4, len(visits))
    told = Predictions.from_arrays(
        ["CN", "MCI", "AD"],
        participant_ids=[f"sub-{visit // 2}" for visit in visits],
        session_ids=[f"{visit % 2}" for visit in visits],
        paths=[f"{row}.png" for row in range(len(visits))],
        labels=["CN" if visit < 2 else "AD" for visit in visits],
        probabilities=rng.dirichlet(np.ones(3), len(visits)),
        weights=slice_weights(scores, visits),
    )
    return scores, visits, told


@given(seeds)
def test_a_visit_is_the_attention_pooling_of_ilse_and_others(seed) -> None:
    scores, visits, told = weighed(seed)
    for visit, pooled in enumerate(told.by_session().probabilities):
        mine = visits == visit
        a = special.softmax(scores[mine])  # Eq. 8, from its exponents
        z = sum(a_k * h_k for a_k, h_k in zip(a, told.probabilities[mine], strict=True))
        np.testing.assert_allclose(pooled, z, rtol=1e-12)  # Eq. 7


@given(seeds)
def test_a_participants_visits_count_the_same_however_many_slices(seed) -> None:
    told = weighed(seed)[2]
    of_visits = told.by_session().probabilities.reshape(2, 2, 3)
    found = told.by_participant().probabilities
    np.testing.assert_allclose(found, of_visits.mean(axis=1), rtol=1e-12)


@given(seeds)
def test_the_order_of_slices_does_not_matter(seed) -> None:
    told = weighed(seed)[2]
    turned = told.where(np.random.default_rng(seed).permutation(len(told.table)))
    found = turned.by_session().probabilities
    np.testing.assert_allclose(found, told.by_session().probabilities, rtol=1e-12)


def test_equal_scores_are_the_mean_and_one_slice_is_itself() -> None:
    told = weighed(alike=True)[2]
    plain = Predictions(told.classes, told.table.drop(columns="pooling_weight"))
    found, mean = told.by_session(), plain.by_session()
    np.testing.assert_allclose(found.probabilities, mean.probabilities, rtol=1e-12)
    assert (found.probabilities[1] == told.probabilities[4]).all()


@given(seeds, st.floats(-1e4, 1e4))
def test_weights_sum_to_one_in_a_visit_and_only_differences_of_scores_count(
    seed, more
) -> None:
    scores, visits, _ = weighed(seed)
    found = slice_weights(scores, visits)
    np.testing.assert_allclose(np.bincount(visits, found), 1)
    np.testing.assert_allclose(slice_weights(scores + more, visits), found, rtol=1e-9)


def test_however_far_apart_scores_are_weights_are_above_zero() -> None:
    assert (slice_weights(np.array([-1e9, 0.0]), np.zeros(2, int)) > 0).all()


def test_the_table_keeps_the_weights(tmp_path) -> None:
    told = weighed()[2]
    told.write(tmp_path / "p.tsv")
    back = Predictions.read(tmp_path / "p.tsv")
    assert (back.weights == told.weights).all()
    mine = np.arange(len(told.table)) < 5
    assert (told.where(mine).weights == told.weights[mine]).all()
    half = Scaling("temperature", (0.5,) * 3, (0.0,) * 3)
    calibration = replace(Calibration.none(told.classes, ""), scaling=half)
    assert (calibration.applied_to(told).weights == told.weights).all()


def test_a_weight_that_is_none_is_named_with_its_line(tmp_path) -> None:
    (tmp_path / "p.tsv").write_text(
        "label\tp_CN\tp_AD\tpooling_weight\n"
        "AD\t0.4\t0.6\t0.5\nAD\t0.4\t0.6\t0\nAD\t0.4\t0.6\tmuch\nAD\t0.4\t0.6\tinf\n"
    )
    with pytest.raises(ManifestError) as caught:
        Predictions.read(tmp_path / "p.tsv")
    assert len(caught.value.faults) == 3
    assert "line 3, column pooling_weight: '0' is no number above 0" in str(
        caught.value
    )
    with pytest.raises(ValueError, match="above 0"):
        Predictions.from_arrays(
            ["a", "b"], participant_ids=["1"], session_ids=["1"], paths=["x"],
            labels=["a"], probabilities=np.array([[0.5, 0.5]]), weights=np.zeros(1),
        )  # fmt: skip


def test_the_temperature_suits_the_weighted_mean_of_a_participant() -> None:
    rng = np.random.default_rng(0)
    label, row_of = np.arange(19) % 2, np.repeat(np.arange(19), 4)
    told = special.softmax(rng.normal(0, 3, (76, 2)) + np.eye(2)[label[row_of]], axis=1)
    weight = special.softmax(rng.normal(0, 2, (19, 4)), axis=1).ravel()
    found = fit_scaling(label, told, row_of, weight)

    def loss(log_factor):
        p = special.softmax(np.log(told) * np.exp(log_factor), axis=1)
        mean = (weight[:, None] * p).reshape(19, 4, 2).sum(axis=1)[np.arange(19), label]
        return -np.log(mean).mean() + log_factor**2 / 38

    best = optimize.minimize_scalar(loss, bounds=(-2.3, 2.3), method="bounded").x
    assert found.temperature == pytest.approx(np.exp(-best), rel=1e-3)
    assert found.temperature != pytest.approx(
        fit_scaling(label, told, row_of).temperature, rel=1e-2
    )
