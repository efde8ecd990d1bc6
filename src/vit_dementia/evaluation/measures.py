"""The scores of a report: for each its formula, how people are drawn, when undefined.

What a score means, its range and direction stand in ``metrics``; every entry here gives
the same number (a test holds them equal), under many weightings of rows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vit_dementia.evaluation import intervals, weighted
from vit_dementia.evaluation.calibration import slope_and_intercept, weighted_lines
from vit_dementia.evaluation.folds import CONDITIONAL
from vit_dementia.evaluation.intervals import Interval, Kernel, People
from vit_dementia.evaluation.metrics import UndefinedScoreError
from vit_dementia.evaluation.operating import weighted_sensitivity
from vit_dementia.evaluation.rows import FEWEST, Rows

Formula = Callable[[Rows, np.ndarray], np.ndarray]  # rows, weights "b n" to " b"
Chosen = Callable[[Rows], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One score: its formula, what it needs, and how people are drawn for it."""

    formula: Formula
    needs: Callable[[Rows], None]
    strata: Chosen | None = None  # drawn within these: prevalence does not enter
    share: tuple[Chosen, Chosen] | None = None  # of the first rows, how many second
    is_auroc: bool = False  # of the endpoint: has intervals of its own
    over_classes: bool = False  # a mean over the classes with enough participants
    ranks_across_folds: bool = False

    def kernel(self, rows: Rows) -> Kernel:
        """Return the formula as a function of weights alone."""
        return lambda weights: self.formula(rows, weights)

    def value(self, rows: Rows) -> float:
        """Return the score.

        Raises:
            UndefinedScoreError: with the reason.
        """
        self.needs(rows)
        value = float(self.formula(rows, np.ones((1, len(rows.label))))[0])
        if np.isnan(value):
            raise UndefinedScoreError("the participants at hand do not define it")
        return value

    def interval(self, rows: Rows, *, seed: int) -> Interval:
        """Return the interval of the score, saying how it was found.

        Raises:
            UndefinedScoreError: with the reason why there is none.
        """
        found = self._closed_form(rows)
        if found is not None:
            by_fold = "" if rows.fold is None else f", {CONDITIONAL}"
            return Interval(found.low, found.high, found.method + by_fold)
        kernel, people = self.kernel(rows), self.people(rows)
        drawn = intervals.bootstrap(kernel, people, seed=seed)
        found = (
            intervals.bca(kernel, people, drawn)
            if self.is_auroc
            else intervals.percentile(drawn)
        )
        return Interval(found.low, found.high, self.drawing(rows, found))

    def people(self, rows: Rows) -> People:
        """Say who is drawn for an interval, and within which groups."""
        return rows.people(None if self.strata is None else self.strata(rows))

    def drawing(self, rows: Rows, found: Interval) -> str:
        """Say in words how people were drawn for an interval."""
        within = [] if self.strata is None else ["classes"]
        within += [] if rows.fold is None else ["folds"]
        whom = "participants" if rows.participants_known else "images"
        words = f"{found.method} over {whom}"
        words += f" within {' and '.join(within)}" if within else ""
        return words + (f", {CONDITIONAL}" if rows.fold is not None else "")

    def _closed_form(self, rows: Rows) -> Interval | None:
        """Return an interval without resampling where that is better."""
        value = self.value(rows)
        certain = value in (0, 1)  # every resample would agree, and mislead
        if self.share is not None and (rows.one_row_each or certain):
            among = self.share[0](rows)
            people = rows.people_of(among)  # by image too: not how many images
            return intervals.wilson(round(value * people), people)
        if self.is_auroc and certain:
            positives, negatives = rows.is_positive, ~rows.is_positive
            return intervals.newcombe(
                value, rows.people_of(positives), rows.people_of(negatives)
            )
        return None


def _share(
    among: Chosen,
    hit: Chosen,
    needs: Callable[[Rows], None],
    *,
    strata: Chosen | None = None,
) -> Measure:
    return Measure(
        formula=lambda rows, w: weighted.recall_of(among(rows), hit(rows), w),
        needs=needs,
        strata=strata,
        share=(among, hit),
    )


def _anybody(rows: Rows) -> None:
    if not len(rows.label):
        raise UndefinedScoreError("nothing to score: no labeled rows")


def _people(rows: Rows, chosen: np.ndarray, what: str = "") -> None:
    _anybody(rows)
    people = rows.people_of(chosen)
    if people < FEWEST:
        raise UndefinedScoreError(f"{'one' if people else 'no'} participant{what}")


def _positives(rows: Rows) -> None:
    _people(rows, rows.is_positive, " on the positive side")


def _negatives(rows: Rows) -> None:
    _people(rows, ~rows.is_positive, " on the negative side")


def _both_sides(rows: Rows) -> None:
    _positives(rows)
    _negatives(rows)


def _line(rows: Rows) -> None:
    _both_sides(rows)
    slope_and_intercept(rows.is_positive, rows.score)  # says why there is none


def _two_classes(rows: Rows) -> None:
    _anybody(rows)
    if len(rows.enough) < 2:
        raise UndefinedScoreError("fewer than two classes with two participants each")


def _order(rows: Rows) -> None:
    if not rows.ordered:
        raise UndefinedScoreError("the classes have no order of severity")
    _two_classes(rows)


def _at_specificity(specificity: float) -> Measure:
    return Measure(
        formula=lambda rows, w: weighted_sensitivity(
            rows.is_positive, rows.score, w, specificity=specificity
        ),
        needs=_both_sides,
        strata=lambda rows: rows.is_positive,
        ranks_across_folds=True,
    )


def _macro_auroc(rows: Rows, weights: np.ndarray) -> np.ndarray:
    probability = rows.probability
    each = [
        rows.auroc(rows.label == c, probability[:, c], weights) for c in rows.enough
    ]
    return weighted.mean_of_defined(np.stack(each, axis=1))


MEASURES: Mapping[str, Measure] = {
    "auroc": Measure(
        formula=lambda rows, w: rows.auroc(rows.is_positive, rows.score, w),
        needs=_both_sides,
        strata=lambda rows: rows.is_positive,
        is_auroc=True,
    ),
    "auprc": Measure(
        formula=lambda rows, w: weighted.auprc(rows.is_positive, rows.score, w),
        needs=_both_sides,
        ranks_across_folds=True,
    ),
    "sensitivity": _share(
        lambda rows: rows.is_positive,
        lambda rows: rows.flagged,
        _positives,
        strata=lambda rows: rows.is_positive,
    ),
    "specificity": _share(
        lambda rows: ~rows.is_positive,
        lambda rows: ~rows.flagged,
        _negatives,
        strata=lambda rows: rows.is_positive,
    ),
    "sensitivity_at_specificity_90": _at_specificity(0.90),
    "sensitivity_at_specificity_95": _at_specificity(0.95),
    "accuracy": _share(
        lambda rows: np.ones(len(rows.label), bool),
        lambda rows: rows.label == rows.predicted,
        _anybody,
    ),
    "balanced_accuracy": Measure(
        formula=lambda rows, w: weighted.balanced_accuracy(
            rows.confusions(w), rows.enough
        ),
        needs=_two_classes,
        strata=lambda rows: rows.label,
        over_classes=True,
    ),
    "macro_f1": Measure(
        formula=lambda rows, w: weighted.macro_f1(rows.confusions(w), rows.enough),
        needs=_two_classes,
        over_classes=True,
    ),
    "macro_auroc": Measure(formula=_macro_auroc, needs=_two_classes, over_classes=True),
    "matthews_correlation": Measure(
        formula=lambda rows, w: weighted.matthews_correlation(rows.confusions(w)),
        needs=_two_classes,
    ),
    "quadratic_kappa": Measure(
        formula=lambda rows, w: weighted.quadratic_kappa(rows.confusions(w)),
        needs=_order,
    ),
    "stage_error": Measure(
        formula=lambda rows, w: weighted.stage_error(rows.confusions(w)),
        needs=_order,
    ),
    "log_loss": Measure(
        formula=lambda rows, w: weighted.mean_of(
            weighted.log_losses(rows.label, rows.probability), w
        ),
        needs=_anybody,
    ),
    "brier": Measure(
        formula=lambda rows, w: weighted.mean_of(
            weighted.brier_losses(rows.label, rows.probability), w
        ),
        needs=_anybody,
    ),
}


CALIBRATION: Mapping[str, Measure] = {
    "slope": Measure(
        formula=lambda rows, w: weighted_lines(rows.is_positive, rows.score, w)[:, 0],
        needs=_line,
    ),
    "intercept": Measure(
        formula=lambda rows, w: weighted_lines(rows.is_positive, rows.score, w)[:, 1],
        needs=_line,
    ),
}


def measures_of_class(index: int) -> Mapping[str, Measure]:
    """Return what is said of one class: how much of it is found, and its AUROC."""

    def needs(rows: Rows) -> None:
        _people(rows, rows.label == index)

    def needs_others_too(rows: Rows) -> None:
        needs(rows)
        _people(rows, rows.label != index, " of any other class")

    return {
        "sensitivity": _share(
            lambda rows: rows.label == index,
            lambda rows: rows.predicted == index,
            needs,
            strata=lambda rows: rows.label == index,
        ),
        "auroc": Measure(
            formula=lambda rows, w: rows.auroc(
                rows.label == index, rows.probability[:, index], w
            ),
            needs=needs_others_too,
        ),
    }
