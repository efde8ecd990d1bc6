"""Scores that need no Vision Transformer: what any model has to beat.

The linear floor has one rule for every cohort, however many slices a participant has
and in whatever order: the mean of their images and the standard deviation over them,
averaged down to at most 52 pixels (voxels) a side, reduced to min(30, participants / 4)
principal components, each scaled to unit variance, then logistic regression with
scikit-learn's default penalty. The features were chosen among a few on the public
4-class slices by their score there, so on those people the floor flatters itself.

Shapes: n rows to learn from, m rows to score, space the sides of a scan, p
participants, f features, k classes, c components, b refits.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Real
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from vit_dementia.evaluation.metrics import UndefinedScoreError

LONGEST_SIDE = 52  # pixels; anatomy that a linear model can use is coarser
MOST_COMPONENTS = 30
PEOPLE_PER_COMPONENT = 4
REFITS = 200  # with permuted labels: p-values down to 1/201 in about a second


def majority(
    label: Int[np.ndarray, " n"], num_rows: int, *, num_classes: int
) -> Float[np.ndarray, "m k"]:
    """Tell everybody the shares of the classes in training; the commonest class wins.

    >>> majority(np.array([0, 0, 0, 1]), 2, num_classes=2)
    array([[0.75, 0.25],
           [0.75, 0.25]])
    """
    return np.tile(_shares(label, num_classes), (num_rows, 1))


def stratified_chance(
    label: Int[np.ndarray, " n"],
    num_rows: int,
    *,
    num_classes: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "m k"]:
    """Tell everybody a class drawn as often as it stands in training.

    >>> rng = np.random.default_rng(0)
    >>> stratified_chance(np.array([0, 1]), 3, num_classes=2, rng=rng)[:, 1]
    array([0., 1., 1.])
    """
    shares = _shares(label, num_classes)
    return rng.multinomial(1, shares, size=num_rows).astype(np.float64)


def mean_and_spread(
    images: Real[np.ndarray, " n *space"], participant_ids: Sequence[str]
) -> tuple[list[str], Float[np.ndarray, "p f"]]:
    """Return the participants in order of id, and the features of each: see above.

    >>> ids, features = mean_and_spread(np.arange(8).reshape(2, 2, 2), ["a", "a"])
    >>> ids, features.tolist()
    (['a'], [[2.0, 3.0, 4.0, 5.0, 2.0, 2.0, 2.0, 2.0]])
    """
    ids, row_of = np.unique(participant_ids, return_inverse=True)
    small = shrink(images).reshape(len(images), -1)
    features = [
        np.concatenate([mine.mean(axis=0), mine.std(axis=0)])
        for mine in (small[row_of == person] for person in range(len(ids)))
    ]
    return ids.tolist(), np.stack(features)


def shrink(
    images: Real[np.ndarray, " n *space"], *, longest: int = LONGEST_SIDE
) -> Float[np.ndarray, " n *_"]:
    """Average whole blocks of pixels until no side is longer than ``longest``.

    >>> shrink(np.array([[[1, 3], [5, 7]]]), longest=1)
    array([[[4.]]])
    """
    sides = images.shape[1:]
    block = -(-max(sides) // longest)  # rounded up
    steps = [min(block, side) for side in sides]
    numbers = [max(side // block, 1) for side in sides]
    ends = [number * step for number, step in zip(numbers, steps, strict=True)]
    cut = images[(slice(None), *map(slice, ends))]
    parts = chain.from_iterable(zip(numbers, steps, strict=True))
    blocks = cut.reshape(len(images), *parts)
    inside = tuple(range(2, blocks.ndim, 2))  # the axes within a block
    return blocks.mean(axis=inside, dtype=np.float64)


def linear(
    features: Float[np.ndarray, "n f"],
    label: Int[np.ndarray, " n"],
    scored: Float[np.ndarray, "m f"],
    *,
    num_classes: int,
) -> Float[np.ndarray, "m k"]:
    """Return the probabilities that a linear model of the features gives.

    >>> features = np.array([[0.0], [0.1], [0.9], [1.0]])
    >>> told = linear(features, np.array([0, 0, 1, 1]), features, num_classes=2)
    >>> told.argmax(axis=1)
    array([0, 0, 1, 1])
    """
    _need_two_classes(label)
    known, asked = _components(features, scored)
    return _logistic(known, label, asked, num_classes)


def linear_of_permuted_labels(
    features: Float[np.ndarray, "n f"],
    label: Int[np.ndarray, " n"],
    scored: Float[np.ndarray, "m f"],
    *,
    num_classes: int,
    rng: np.random.Generator,
    refits: int = REFITS,
) -> Float[np.ndarray, "b m k"]:
    """Return what ``linear`` says after each of many deals of the labels it learns.

    The components are found without labels, so once is enough for them.

    >>> features, label = np.arange(8.0)[:, None], np.arange(8) % 2
    >>> rng = np.random.default_rng(0)
    >>> linear_of_permuted_labels(
    ...     features, label, features[:3], num_classes=2, rng=rng, refits=5
    ... ).shape
    (5, 3, 2)
    """
    _need_two_classes(label)
    known, asked = _components(features, scored)
    return np.stack(
        [
            _logistic(known, rng.permutation(label), asked, num_classes)
            for _ in range(refits)
        ]
    )


def _components(
    features: Float[np.ndarray, "n f"], scored: Float[np.ndarray, "m f"]
) -> tuple[Float[np.ndarray, "n c"], Float[np.ndarray, "m c"]]:
    """Return principal components of unit variance, found on those to learn from."""
    most = max(len(features) // PEOPLE_PER_COMPONENT, 1)
    components = min(MOST_COMPONENTS, most, features.shape[1])
    reduce = make_pipeline(PCA(components, random_state=0), StandardScaler())
    return reduce.fit_transform(features), reduce.transform(scored)


def _logistic(
    known: Float[np.ndarray, "n c"],
    label: Int[np.ndarray, " n"],
    asked: Float[np.ndarray, "m c"],
    num_classes: int,
) -> Float[np.ndarray, "m k"]:
    model = LogisticRegression(max_iter=2000).fit(known, label)
    told = np.zeros((len(asked), num_classes))
    told[:, model.classes_] = model.predict_proba(asked)
    return told


def facts_alone(
    known: pd.DataFrame,
    label: Int[np.ndarray, " n"],
    asked: pd.DataFrame,
    *,
    num_classes: int,
) -> Float[np.ndarray, "m k"]:
    """Return what a logistic regression says that sees age, sex or site but no image.

    Columns of numbers are filled up with their median, other columns with the commonest
    value; what was never met in training counts for nothing.

    >>> known = pd.DataFrame({"age": [60.0, 62.0, 80.0, 82.0]})
    >>> told = facts_alone(known, np.array([0, 0, 1, 1]), known, num_classes=2)
    >>> told.argmax(axis=1)
    array([0, 0, 1, 1])
    """
    _need_two_classes(label)
    numbers = [name for name in known if known[name].dtype.kind == "f"]
    words = [name for name in known if name not in numbers]
    columns = ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                numbers,
            ),
            (
                "words",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"),
                    OneHotEncoder(handle_unknown="ignore"),
                ),
                words,
            ),
        ]
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=2000))
    told = np.zeros((len(asked), num_classes))
    told[:, np.unique(label)] = model.fit(known, label).predict_proba(asked)
    return told


def nearest_neighbor(
    images: Real[np.ndarray, " n *space"],
    label: Int[np.ndarray, " n"],
    scored: Real[np.ndarray, " m *space"],
    *,
    num_classes: int,
) -> Float[np.ndarray, "m k"]:
    """Tell each image the class of the most similar one, after ``shrink``.

    >>> images = np.array([[[0, 0]], [[9, 9]]])
    >>> nearest_neighbor(images, np.array([0, 1]), images[:1] + 1, num_classes=2)
    array([[1., 0.]])
    """
    known = shrink(images).reshape(len(images), -1)
    asked = shrink(scored).reshape(len(scored), -1)
    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(known)
    nearest = search.kneighbors(asked, return_distance=False)[:, 0]
    return np.eye(num_classes)[label[nearest]]


def _need_two_classes(label: Int[np.ndarray, " n"]) -> None:
    if len(np.unique(label)) < 2:
        raise UndefinedScoreError("all participants to learn from are of one class")


def _shares(label: Int[np.ndarray, " n"], num_classes: int) -> np.ndarray:
    if not len(label):
        raise UndefinedScoreError("nobody to learn from")
    return np.bincount(label, minlength=num_classes) / len(label)
