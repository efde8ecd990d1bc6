"""Probabilities mended on validation participants."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, special

from vit_dementia.evaluation.scaling import FEWEST, Scaling, fit_scaling


def overconfident(people, *, sure=3.0, seed=0, k=3, scans=1, tilt=(0, 0, 0)):
    """Draw labels from honest logits, and tell them ``sure`` times as loud."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(size=(people, k)) * 1.5
    odds = special.softmax(honest + np.array(tilt), axis=1)
    label = np.array([rng.choice(k, p=row) for row in odds])
    row_of = np.repeat(np.arange(people), scans)
    told = special.softmax(sure * honest[row_of], axis=1)
    return label, told, row_of


def test_a_temperature_undoes_too_much_certainty():
    found = fit_scaling(*overconfident(3000, sure=3.0))
    assert found.method in ("temperature", "vector")
    assert 1 / np.mean(found.factor) == pytest.approx(3.0, rel=0.1)


def test_the_temperature_minimizes_the_loss_of_participants_not_of_scans():
    label, told, row_of = overconfident(40, scans=4, k=2, tilt=(0, 0))
    rng = np.random.default_rng(1)
    logits = np.log(told) + rng.normal(size=told.shape)  # scans of one person differ
    told = special.softmax(logits, axis=1)
    found = fit_scaling(label[:19], told[: 19 * 4], row_of[: 19 * 4])

    def loss(log_factor):
        p = special.softmax(np.log(told[: 19 * 4]) * np.exp(log_factor), axis=1)
        mean = p.reshape(19, 4, 2).mean(axis=1)[np.arange(19), label[:19]]
        return -np.log(mean).mean() + log_factor**2 / 38

    best = optimize.minimize_scalar(loss, bounds=(-2.3, 2.3), method="bounded").x
    assert found.temperature == pytest.approx(np.exp(-best), rel=1e-3)


def test_a_tilted_model_with_many_people_gets_a_shift_of_its_own():
    tilted = overconfident(600, sure=1.0, tilt=(1.5, 0.0, -1.5))
    found = fit_scaling(*tilted)
    assert found.method == "vector"
    assert found.temperature is None
    assert found.shift[0] > found.shift[1] > found.shift[2]
    assert sum(found.shift) == pytest.approx(0)
    # Few people of a class: one number for all.
    label, told, row_of = tilted
    assert fit_scaling(label[:50], told[:50], row_of[:50]).method == "temperature"


def test_being_right_about_ten_people_is_not_certainty():
    told = np.tile([[0.8, 0.2], [0.2, 0.8]], (5, 1))
    found = fit_scaling(np.arange(10) % 2, told, np.arange(10))
    assert found(told).max() < 0.98


@pytest.mark.parametrize(
    ("label", "why"),
    [
        (np.arange(FEWEST - 1) % 2, "10 are needed"),
        (np.zeros(20, int), "one class"),
    ],
)
def test_too_little_to_fit_on_changes_nothing_and_says_why(label, why):
    told = np.tile([[0.7, 0.3]], (len(label), 1))
    found = fit_scaling(label, told, np.arange(len(label)))
    assert found.method == "none"
    assert why in found.why
    assert np.array_equal(found(told), told)


def test_a_written_scaling_reads_the_same():
    found = fit_scaling(*overconfident(200))
    assert Scaling.from_dict(found.to_dict()) == found
