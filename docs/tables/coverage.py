"""Simulate how often intervals and prediction sets hold the truth; print the tables.

Run: ``python docs/tables/coverage.py [STUDIES]`` (2,000 by default, about ten minutes).
The output stands in ``docs/explanation/intervals.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special, stats

from vit_dementia.evaluation import abstention, calibration, intervals, weighted
from vit_dementia.evaluation.crossed import Crossed, LeftOut
from vit_dementia.evaluation.intervals import Interval, People
from vit_dementia.evaluation.metrics import UndefinedScoreError

REPLICATES = 1000
IMAGES = 4  # of a participant, in the studies with repeated measures
OWN = 0.7  # share of an image's variance that is its participant's
PROMISED = [(30, 30, 0.75), (30, 30, 0.90), (75, 75, 0.75), (75, 75, 0.90)]
EXTREME = [
    (10, 10, 0.75),
    (10, 10, 0.90),
    (15, 15, 0.90),
    (10, 75, 0.90),
    (30, 30, 0.97),
]

CROSSED = [(40, 0.9), (100, 0.9), (100, 0.8)]  # participants, level


def auroc_coverage(
    positives: int, negatives: int, auroc: float, *, images: int, studies: int
) -> dict[str, float]:
    """Return how often each interval of AUROC holds the true one."""
    held: dict[str, list[bool]] = {}
    rng = np.random.default_rng(0)
    people = positives + negatives
    owner = np.repeat(np.arange(people), images)
    is_positive = owner < positives
    crowd = People.of([f"{who:04d}" for who in owner], is_positive.tolist())
    shift = np.sqrt(2) * stats.norm.ppf(auroc)
    for study in range(studies):
        own = rng.normal(size=people) * np.sqrt(OWN if images > 1 else 1)
        noise = rng.normal(size=len(owner)) * np.sqrt(1 - OWN if images > 1 else 0)
        score = own[owner] + noise + shift * is_positive

        def kernel(weights: np.ndarray, score: np.ndarray = score) -> np.ndarray:
            return weighted.auroc(is_positive, score, weights)

        drawn = intervals.bootstrap(kernel, crowd, seed=study, replicates=REPLICATES)
        ways: dict[str, Callable[[], Interval]] = {
            "BCa": lambda k=kernel, d=drawn: _bca(k, crowd, d, positives, negatives),
            "percentile": lambda d=drawn: intervals.percentile(d),
        }
        if images == 1:
            ways["DeLong, logit"] = lambda s=score: intervals.delong_logit(
                is_positive, s
            )
        for name, way in ways.items():
            held.setdefault(name, []).append(_holds(way, auroc))
    return {name: float(np.mean(hits)) for name, hits in held.items()}


def accuracy_coverage(
    positives: int, negatives: int, auroc: float, *, studies: int
) -> dict[str, float]:
    """Return how often intervals of accuracy hold the true one.

    Each study recruits anew, so how many are positive is chance too.
    """
    rng = np.random.default_rng(0)
    people = positives + negatives
    shift = np.sqrt(2) * stats.norm.ppf(auroc)
    # A line that suits nobody well: many positives missed, few false alarms.
    found, cleared = 1 - stats.norm.cdf(1.5 - shift), stats.norm.cdf(1.5)
    prevalence = positives / people
    truth = prevalence * found + (1 - prevalence) * cleared
    held: dict[str, list[bool]] = {}
    ids = [f"{who:04d}" for who in range(people)]
    for study in range(studies):
        label = rng.random(people) < prevalence
        right = rng.random(people) < np.where(label, found, cleared)

        def kernel(weights: np.ndarray, right: np.ndarray = right) -> np.ndarray:
            return weighted.mean_of(right.astype(float), weights)

        ways: dict[str, Callable[[], Interval]] = {
            "Wilson": lambda r=right: intervals.wilson(int(r.sum()), people)
        }
        for name, strata in [
            ("over everybody", None),
            ("within classes", label.tolist()),
        ]:
            drawn = intervals.bootstrap(
                kernel, People.of(ids, strata), seed=study, replicates=REPLICATES
            )
            ways[f"bootstrap {name}"] = lambda d=drawn: intervals.percentile(d)
        for name, way in ways.items():
            held.setdefault(name, []).append(_holds(way, truth))
    return {name: float(np.mean(hits)) for name, hits in held.items()}


def set_coverage(people: int, level: float, *, studies: int) -> dict[str, float]:
    """Return how often conformal sets hold the truth, with and without reuse.

    Each study keeps the best of 30 epochs by the loss on its validation participants
    and fits a temperature on them, then calibrates on them again, or on others.
    """
    rng = np.random.default_rng(0)
    held: dict[str, list[float]] = {"on others": [], "on those who chose": []}
    for _ in range(studies):
        skill = rng.normal(size=(30, 3, 3)) * 0.6 + 1.2 * np.eye(3)  # of each epoch

        def told(epoch: int, seen: np.ndarray, skill: np.ndarray = skill) -> np.ndarray:
            return np.asarray(special.softmax(2 * seen @ skill[epoch], axis=1))

        (chosen_by, chosen_seen), others, new = (
            _scans(rng, n) for n in (people, people, 200)
        )
        losses = [
            weighted.log_losses(chosen_by, told(epoch, chosen_seen)).mean()
            for epoch in range(30)
        ]
        best = int(np.argmin(losses))
        temperature = calibration.fit_temperature(chosen_by, told(best, chosen_seen))
        for name, (label, seen) in [
            ("on others", others),
            ("on those who chose", (chosen_by, chosen_seen)),
        ]:
            tempered = calibration.with_temperature(told(best, seen), temperature)
            threshold = abstention.conformal_threshold(
                abstention.strangeness(label, tempered), level=level
            )
            asked = calibration.with_temperature(told(best, new[1]), temperature)
            sets = abstention.prediction_sets(asked, threshold)
            held[name].append(abstention.coverage(sets, new[0]))
    return {name: float(np.mean(shares)) for name, shares in held.items()}


def crossed_coverage(people: int, level: float, *, studies: int) -> dict[str, float]:
    """Return how often sets of five models together (CV+) hold the truth of others.

    Each fold keeps the best of 30 epochs by the loss on its validation participants (a
    fifth of those who are not tested in it) and fits a temperature on them; everybody
    calibrates the fold that left them out.
    """
    rng, held = np.random.default_rng(0), []
    for _ in range(studies):
        (label, seen), (new_label, new) = (_scans(rng, n) for n in (people, 200))
        place = rng.permutation(people) % 5
        left_out, asked = [], []
        for fold in range(5):
            skill = rng.normal(size=(30, 3, 3)) * 0.6 + 1.2 * np.eye(3)
            chosen_by = place == (fold + 1) % 5
            told = np.asarray(special.softmax(2 * seen @ skill, axis=2))
            losses = [
                weighted.log_losses(label[chosen_by], of_epoch[chosen_by]).mean()
                for of_epoch in told
            ]
            best = int(np.argmin(losses))
            heat = _temperature(label[chosen_by], told[best][chosen_by])
            mended = calibration.with_temperature(told[best], heat)
            tested = place == fold
            strange = abstention.strangeness(label[tested], mended[tested])
            left_out.append(LeftOut(fold, "", None, tuple(strange.tolist())))
            asked.append(
                calibration.with_temperature(
                    np.asarray(special.softmax(2 * new @ skill[best], axis=1)), heat
                )
            )
        crossed = Crossed.of("ABC", left_out, positive="BC", level=level)
        sets = crossed.sets(np.stack(asked))
        assert sets is not None
        held.append(abstention.coverage(sets, new_label))
    return {"CV+": float(np.mean(held))}


def _temperature(label: np.ndarray, told: np.ndarray) -> float:
    """Fit one as the product does, which scales nothing where only one class is."""
    try:
        return calibration.fit_temperature(label, told)
    except UndefinedScoreError:
        return 1.0


def _scans(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    label = np.concatenate([np.arange(3), rng.integers(3, size=n - 3)])
    return label, rng.normal(size=(n, 3)) * 0.8 + np.eye(3)[label]


def _bca(
    kernel: Callable[[np.ndarray], np.ndarray],
    crowd: People,
    drawn: np.ndarray,
    positives: int,
    negatives: int,
) -> Interval:
    """Do as the product does: Newcombe's where every resample would agree."""
    value = float(kernel(np.ones((1, len(crowd.row_of))))[0])
    if value in (0, 1):
        return intervals.newcombe(value, positives, negatives)
    return intervals.bca(kernel, crowd, drawn)


def _holds(way: Callable[[], Interval], truth: float) -> bool:
    try:
        interval = way()
    except UndefinedScoreError:  # no interval holds nothing
        return False
    return interval.low <= truth <= interval.high


def _table(head: Sequence[str], rows: Sequence[tuple[str, dict[str, float]]]) -> None:
    names = list(dict.fromkeys(name for _, found in rows for name in found))
    print(f"| {' | '.join([*head, *names])} |")
    print(f"|{' --- |' * (len(head) + len(names))}")
    for title, found in rows:
        cells = [f"{found[name]:.3f}" if name in found else "-" for name in names]
        print(f"| {title} | {' | '.join(cells)} |", flush=True)


def main(studies: int) -> None:
    """Print all tables."""
    for images, cases in [(1, PROMISED + EXTREME), (IMAGES, PROMISED)]:
        rows = [
            (
                f"{p} + {n} | {auroc:.2f}",
                auroc_coverage(p, n, auroc, images=images, studies=studies),
            )
            for p, n, auroc in cases
        ]
        print(f"\nAUROC, {images} image(s) of each participant\n")
        _table(["participants", "true AUROC"], rows)
    print("\nAccuracy\n")
    _table(
        ["participants", "AUROC"],
        [
            (f"{p} + {n} | {a:.2f}", accuracy_coverage(p, n, a, studies=studies))
            for p, n, a in PROMISED
        ],
    )
    print("\nPrediction sets\n")
    _table(
        ["calibrated on", "level"],
        [
            (f"{n} | {level:.2f}", set_coverage(n, level, studies=studies))
            for n, level in [(20, 0.9), (40, 0.9), (60, 0.8)]
        ],
    )
    print("\nPrediction sets of five models together\n")
    _table(
        ["participants", "level"],
        [
            (f"{n} | {level:.2f}", crossed_coverage(n, level, studies=studies))
            for n, level in CROSSED
        ],
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
