"""Every score against scikit-learn, and what no data can define."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from vit_dementia.evaluation import metrics
from vit_dementia.evaluation.metrics import UndefinedScoreError

seeds = st.integers(0, 2**32 - 1)


def random_case(seed, *, ties=False):
    """Make labels and probabilities; every class of 2 to 5 has a row."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(2, 6))
    n = int(rng.integers(k, 60))
    label = np.concatenate([np.arange(k), rng.integers(k, size=n - k)])
    probability = rng.dirichlet(np.ones(k), size=n)
    if ties:
        probability = rng.multinomial(4, np.ones(k) / k, size=n) / 4
    return label, probability


@settings(max_examples=40, deadline=None)
@given(seeds, st.booleans())
def test_scores_of_classes_equal_scikit_learn(seed, ties):
    label, probability = random_case(seed, ties=ties)
    predicted = probability.argmax(axis=1)
    k = probability.shape[1]
    for ours, other in [
        (metrics.accuracy(label, predicted), theirs.accuracy_score(label, predicted)),
        (
            metrics.balanced_accuracy(label, predicted),
            theirs.balanced_accuracy_score(label, predicted),
        ),
        (
            metrics.macro_f1(label, predicted),
            theirs.f1_score(label, predicted, average="macro", zero_division=0),
        ),
        (
            metrics.matthews_correlation(label, predicted),
            theirs.matthews_corrcoef(label, predicted),
        ),
        (
            metrics.quadratic_kappa(label, predicted, num_classes=k),
            theirs.cohen_kappa_score(label, predicted, weights="quadratic"),
        ),
    ]:
        assert ours == pytest.approx(other, abs=1e-12)
    np.testing.assert_array_equal(
        metrics.confusion_matrix(label, predicted, num_classes=k),
        theirs.confusion_matrix(label, predicted, labels=range(k)),
    )


@settings(max_examples=40, deadline=None)
@given(seeds, st.booleans())
def test_scores_of_probabilities_equal_scikit_learn(seed, ties):
    label, probability = random_case(seed, ties=ties)
    k = probability.shape[1]
    classes = list(range(k))
    assert metrics.log_loss(label, probability) == pytest.approx(
        theirs.log_loss(label, probability, labels=classes)
    )
    assert metrics.brier(label, probability) == pytest.approx(
        theirs.brier_score_loss(label, probability, labels=classes, scale_by_half=True)
        if k > 2
        else theirs.brier_score_loss(label, probability[:, 1])
    )
    each = [theirs.roc_auc_score(label == c, probability[:, c]) for c in classes]
    assert metrics.macro_auroc(label, probability) == pytest.approx(np.mean(each))
    if k > 2:
        assert metrics.macro_auroc(label, probability) == pytest.approx(
            theirs.roc_auc_score(label, probability, multi_class="ovr")
        )


@settings(max_examples=40, deadline=None)
@given(seeds, st.booleans())
def test_scores_of_one_endpoint_equal_scikit_learn(seed, ties):
    label, probability = random_case(seed, ties=ties)
    positive, score = label > 0, 1 - probability[:, 0]
    flagged = score > 0.5
    for ours, other in [
        (metrics.auroc(positive, score), theirs.roc_auc_score(positive, score)),
        (
            metrics.auprc(positive, score),
            theirs.average_precision_score(positive, score),
        ),
        (
            metrics.sensitivity(positive, flagged),
            theirs.recall_score(positive, flagged, zero_division=0),
        ),
        (
            metrics.specificity(positive, flagged),
            theirs.recall_score(~positive, ~flagged, zero_division=0),
        ),
    ]:
        assert ours == pytest.approx(other, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_the_stage_error_is_the_mean_absolute_error(seed):
    label, probability = random_case(seed)
    predicted = probability.argmax(axis=1)
    assert metrics.stage_error(label, predicted) == pytest.approx(
        theirs.mean_absolute_error(label, predicted)
    )


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_auroc_ignores_monotone_rescaling_and_turns_with_the_sign(seed):
    label, probability = random_case(seed, ties=True)
    positive, score = label > 0, probability[:, 0]
    value = metrics.auroc(positive, score)
    assert metrics.auroc(positive, np.exp(3 * score) - 7) == pytest.approx(value)
    assert metrics.auroc(positive, -score) == pytest.approx(1 - value)
    assert metrics.auroc(~positive, score) == pytest.approx(1 - value)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_class_left_out_is_left_out_of_the_means(seed):
    label, probability = random_case(seed)
    predicted, k = probability.argmax(axis=1), probability.shape[1]
    kept = list(range(k - 1))
    assert metrics.balanced_accuracy(label, predicted, classes=kept) == pytest.approx(
        theirs.recall_score(
            label, predicted, labels=kept, average="macro", zero_division=0
        )
    )
    assert metrics.macro_f1(label, predicted, classes=kept) == pytest.approx(
        theirs.f1_score(label, predicted, labels=kept, average="macro", zero_division=0)
    )


def test_constant_scores_are_chance():
    positive = np.array([True, False, False, True, False])
    assert metrics.auroc(positive, np.zeros(5)) == 0.5
    assert metrics.auprc(positive, np.zeros(5)) == pytest.approx(0.4)
    label, predicted = positive.astype(int), np.zeros(5, int)
    assert metrics.matthews_correlation(label, predicted) == 0
    assert metrics.quadratic_kappa(label, predicted, num_classes=2) == 0


one, none = np.ones(3, int), np.zeros(0, int)
yes, no = np.ones(3, bool), np.zeros(3, bool)


@pytest.mark.parametrize(
    ("score", "why"),
    [
        (lambda: metrics.accuracy(none, none), "no labeled rows"),
        (lambda: metrics.balanced_accuracy(none, none), "no labeled rows"),
        (lambda: metrics.balanced_accuracy(one, one, classes=[0]), "no rows of class"),
        (lambda: metrics.macro_f1(one, one, classes=[]), "no rows of class"),
        (lambda: metrics.matthews_correlation(one, 1 - one), "one class"),
        (lambda: metrics.quadratic_kappa(one, one, num_classes=2), "everywhere"),
        (lambda: metrics.auroc(yes, np.arange(3.0)), "no negatives"),
        (lambda: metrics.auroc(no, np.arange(3.0)), "no positives"),
        (lambda: metrics.auprc(no, np.arange(3.0)), "no positives"),
        (lambda: metrics.macro_auroc(one, np.eye(3)), "one class"),
        (lambda: metrics.macro_auroc(np.arange(3), np.eye(3), classes=[4]), "no posit"),
        (lambda: metrics.sensitivity(no, no), "no positives"),
        (lambda: metrics.specificity(yes, no), "no negatives"),
        (lambda: metrics.log_loss(none, np.zeros((0, 2))), "no labeled rows"),
        (lambda: metrics.brier(none, np.zeros((0, 2))), "no labeled rows"),
    ],
)
def test_what_no_data_can_define_says_why(score, why):
    with pytest.raises(UndefinedScoreError, match=why):
        score()


def test_unlabeled_rows_and_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="without a label"):
        metrics.confusion_matrix(np.array([-1]), np.array([0]), num_classes=2)
    with pytest.raises(ValueError, match="finite"):
        metrics.auroc(np.array([True, False]), np.array([np.nan, 0.0]))


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_probability_of_zero_costs_what_it_costs_in_scikit_learn(seed):
    label, probability = random_case(seed)
    probability[0] = np.eye(probability.shape[1])[(label[0] + 1) % 2]
    assume(probability[0, label[0]] == 0)
    assert metrics.log_loss(label, probability) == pytest.approx(
        theirs.log_loss(label, probability)
    )
