"""The price of a leak: the same quick models on three kinds of split.

The nearest neighbor only recognizes, and the linear probe (ridge regression on each
class, Hoerl & Kennard 1970) can recognize and generalize; both read the same fixed
features, the picture averaged down to 48 pixels a side. They are scored on the split
as given, on splits of the same size that divide the images at random, and on such that
keep participants whole. What they score above the last is worth nothing on new people.

The last two are means over several draws whose test parts overlap as little as they
can. At most 20,000 images are learned from and 2,000 scored, drawn at random, so that
the time does not grow with the cohort.

Shapes: n scans, m of them labelled, f features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8

from vit_dementia.audit.pictures import Pictures
from vit_dementia.evaluation.floors import shrink
from vit_dementia.evaluation.metrics import accuracy, balanced_accuracy

SIDE = 48  # pixels of a picture after averaging; half a thumbnail
RIDGE = 10.0  # on standardized features; chosen on the public 4-class slices
DRAWS = 5  # of the random splits
TEST_SHARE = 0.2  # of the images, where no split is given
MOST_LEARNED, MOST_SCORED = 20_000, 2_000
_AT_ONCE = 4096  # thumbnails averaged down at a time

Features = Float32[np.ndarray, "n f"]
Labels = Int[np.ndarray, " n"]
Mask = Bool[np.ndarray, " n"]
Model = Callable[[Features, Labels, Features], Labels]
Pair = tuple[float, float]  # accuracy and balanced accuracy


@dataclass(frozen=True, kw_only=True)
class Scores:
    """One model's score on three kinds of split; None where there is no such split.

    Attributes:
        given: on the split as given.
        random_images: with the images divided at random.
        by_participant: with all images of a participant on one side.
    """

    given: float | None
    random_images: float | None
    by_participant: float | None


@dataclass(frozen=True, kw_only=True)
class Price:
    """What the leak is worth.

    Attributes:
        accuracy: the share of test images told right, by name of the model.
        balanced_accuracy: the mean of that share over the classes.
        num_learned: images learned from in each split.
        num_scored: images scored in each split.
    """

    accuracy: Mapping[str, Scores]
    balanced_accuracy: Mapping[str, Scores]
    num_learned: int
    num_scored: int


def price(
    pictures: Pictures,
    roles: Sequence[str] | None,
    participant_ids: Sequence[str] | None,
    *,
    seed: int = 0,
) -> Price:
    """Score the quick models on the split as given and on its two counterparts.

    Args:
        pictures: what was seen of the scans.
        roles: the part of each scan, ``train``, ``val``, ``test`` or none of them (an
            empty string); None without a split. Where nothing is in test, val is
            scored.
        participant_ids: who is on each; None if it cannot be told.
        seed: of the draws.
    """
    labels = pictures.cohort.labels()
    used, given = _given(labels, roles)
    labels = labels[used]
    small = _features(pictures, used)
    num_test = round(TEST_SHARE * len(used))
    if given is not None and given.any():
        num_test = int(given.sum())
    rng = np.random.default_rng(seed)
    splits: dict[str, list[Mask]] = {
        "given": [] if given is None else [given],
        "random_images": [],
        "by_participant": [],
    }
    if len(used):
        each = np.arange(len(used))
        splits["random_images"] = draw_tests(each, labels, num_test=num_test, rng=rng)
    if len(used) and participant_ids is not None:
        ids = np.array(participant_ids, dtype=object)[used].astype(str)
        whose = np.unique(ids, return_inverse=True)[1]
        splits["by_participant"] = draw_tests(whose, labels, num_test=num_test, rng=rng)
    scored: dict[str, dict[str, list[Pair]]] = {name: {} for name in MODELS}
    for kind, tests in splits.items():
        for test in tests:
            if test.all() or not test.any():
                continue  # everybody is one participant
            known, asked = _parts(test, rng)
            features, asked_features = (
                small[rows].astype(np.float32) for rows in (known, asked)
            )
            for name, model in MODELS.items():
                told = model(features, labels[known], asked_features)
                scored[name].setdefault(kind, []).append(_score(labels[asked], told))
    return Price(
        accuracy=_table(scored, 0),
        balanced_accuracy=_table(scored, 1),
        num_learned=min(len(used) - num_test, MOST_LEARNED),
        num_scored=min(num_test, MOST_SCORED),
    )


def draw_tests(
    whose: Labels,
    labels: Labels,
    *,
    num_test: int,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> list[Mask]:
    """Return test parts of about ``num_test`` images, nobody divided, classes alike.

    People are put in one order in which every stretch mixes the classes as the whole
    does; each draw takes the next stretch, and goes around at the end.

    Args:
        whose: the participant of each image, from 0.
        labels: the class of each image; a participant counts for the worst of theirs.
        num_test: images wanted.
        rng: of the order.
        draws: how many parts.

    >>> whose, labels = np.repeat(np.arange(10), 2), np.repeat([0, 1], 10)
    >>> rng = np.random.default_rng(0)
    >>> [int(test.sum()) for test in draw_tests(whose, labels, num_test=4, rng=rng)]
    [4, 4, 4, 4, 4]
    """
    num_of = np.bincount(whose)
    worst = np.zeros(len(num_of), dtype=np.int64)
    np.maximum.at(worst, whose, labels)
    place = np.empty(len(num_of))
    for label in np.unique(worst):
        members = rng.permutation(np.flatnonzero(worst == label))
        place[members] = (np.arange(len(members)) + rng.random()) / len(members)
    order = np.argsort(place, kind="stable")
    tests, at = [], 0
    for _ in range(draws):
        ahead = np.roll(order, -at)
        reached = np.cumsum(num_of[ahead])
        taken = 1 + int(np.argmin(np.abs(reached - num_test)))
        tests.append(np.isin(whose, ahead[:taken]))
        at = (at + taken) % len(order)
    return tests


def nearest_neighbor(
    known: Features, labels: Labels, asked: Float32[np.ndarray, "m f"]
) -> Int[np.ndarray, " m"]:
    """Return the label of the most similar image that was learned from.

    >>> known = np.array([[0.0], [9.0]], np.float32)
    >>> nearest_neighbor(known, np.array([3, 5]), known[::-1] + 1)
    array([5, 3])
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(known)
    return labels[search.kneighbors(asked, return_distance=False)[:, 0]]


def linear_probe(
    known: Features, labels: Labels, asked: Float32[np.ndarray, "m f"]
) -> Int[np.ndarray, " m"]:
    """Return the labels that a linear model of the features tells.

    >>> known = np.array([[0.0], [1.0], [8.0], [9.0]], np.float32)
    >>> linear_probe(known, np.array([3, 3, 5, 5]), known)
    array([3, 3, 5, 5])
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if (labels == labels[0]).all():
        return np.full(len(asked), labels[0])
    model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=RIDGE))
    told: np.ndarray = model.fit(known, labels).predict(asked)
    return told


def majority_class(
    known: Features,  # noqa: ARG001  # as the other models
    labels: Labels,
    asked: Float32[np.ndarray, "m f"],
) -> Int[np.ndarray, " m"]:
    """Return the commonest label for everybody: what is right without looking."""
    return np.full(len(asked), np.bincount(labels).argmax())


MODELS: Mapping[str, Model] = {
    "nearest neighbor": nearest_neighbor,
    "linear probe": linear_probe,
    "majority class": majority_class,
}


def _given(
    labels: Labels, roles: Sequence[str] | None
) -> tuple[Int[np.ndarray, " m"], Bool[np.ndarray, " m"] | None]:
    """Return the rows to use and which of them are scored in the split as given."""
    usable = labels >= 0
    if roles is None:
        return np.flatnonzero(usable), None
    role = np.array(roles, dtype=object).astype(str)
    scored = role == ("test" if (role == "test").any() else "val")
    used = np.flatnonzero(usable & (scored | np.isin(role, ["train", "val"])))
    return used, scored[used]


def _features(
    pictures: Pictures, rows: Int[np.ndarray, " m"]
) -> UInt8[np.ndarray, "m f"]:
    """Return the features in 8 bits: a quarter of the thumbnails' memory."""
    parts = [
        np.rint(shrink(pictures.thumbnails[rows[at : at + _AT_ONCE]], longest=SIDE))
        for at in range(0, len(rows), _AT_ONCE)
    ]
    small = [part.astype(np.uint8).reshape(len(part), -1) for part in parts]
    return np.concatenate([np.zeros((0, SIDE**2), np.uint8), *small])


def _parts(
    test: Mask, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]]:
    """Return the rows to learn from and those to score, not too many of either."""
    known, asked = np.flatnonzero(~test), np.flatnonzero(test)
    if len(known) > MOST_LEARNED:
        known = rng.choice(known, MOST_LEARNED, replace=False)
    if len(asked) > MOST_SCORED:
        asked = rng.choice(asked, MOST_SCORED, replace=False)
    return known, asked


def _score(label: Labels, told: Labels) -> Pair:
    return accuracy(label, told), balanced_accuracy(label, told)


def _table(
    scored: Mapping[str, Mapping[str, Sequence[Pair]]], metric: int
) -> dict[str, Scores]:
    """Return every model's mean over the draws of each kind of split."""
    kinds = ("given", "random_images", "by_participant")
    means = {
        name: {kind: float(np.mean([pair[metric] for pair in of[kind]])) for kind in of}
        for name, of in scored.items()
    }
    return {
        name: Scores(**{kind: mean.get(kind) for kind in kinds})
        for name, mean in means.items()
    }
