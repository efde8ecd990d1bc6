"""The floors of one scored part, computed from the same scans the network saw.

Shapes: ``s`` scans of a cohort, ``n`` of a part, ``c`` channels, ``space`` the sides of
a scan, ``u`` participants (or images, where participants are not known) with ``f``
features, ``k`` classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, UInt8

from vit_dementia.data.cohort import Cohort
from vit_dementia.evaluation import floors
from vit_dementia.evaluation.metrics import UndefinedScoreError
from vit_dementia.evaluation.permuted import Relearned
from vit_dementia.evaluation.predictions import UNKNOWN, Predictions
from vit_dementia.inference.rows import predictions_of_rows
from vit_dementia.preparation.silhouette import erase

Images = UInt8[np.ndarray, "n c *space"]
Said = tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " n"] | None]
MAJORITY, CHANCE = "majority class", "stratified chance"
NEIGHBOR, LINEAR = "nearest neighbor", "linear model on pixels"
SILHOUETTE = "linear model on silhouette and background"
ERASED = "this model, brain erased"
FACTS = ("age", "sex", "site")
MOST_UNKNOWN = 0.1  # of the people; a fact that fewer have is no floor
_AT_ONCE = 10_000_000  # pixels or voxels changed together, so that memory stays small


@dataclass(frozen=True)
class Part:
    """Some rows of a cohort, as the network sees them: to learn from, or to be asked.

    Attributes:
        images: of the whole cohort, row by row.
        rows: those that belong to the part.
    """

    cohort: Cohort
    images: UInt8[np.ndarray, "s c *space"]
    rows: Int[np.ndarray, " n"]

    def shrunk(self, change: Callable[[Images], Images] | None = None) -> np.ndarray:
        """Return the part's scans in gray, as small as the floors need them."""
        small = []
        at_once = at_once_of(self.images)
        for start in range(0, len(self.rows), at_once):
            images = self.images[self.rows[start : start + at_once]]
            changed = images if change is None else change(images)
            small.append(floors.shrink(changed.mean(axis=1, dtype=np.float32)))
        return np.concatenate(small)

    @cached_property
    def features(self) -> np.ndarray:
        """Return what the linear floor sees of each unit, in order of id."""
        return floors.mean_and_spread(self.shrunk(), self.unit.tolist())[1]

    @cached_property
    def features_erased(self) -> np.ndarray:
        """Return the same of slices without the inside of the head."""
        return floors.mean_and_spread(self.shrunk(erase), self.unit.tolist())[1]

    @cached_property
    def label(self) -> Int[np.ndarray, " n"]:
        """Return each slice's index into the classes."""
        return self.cohort.labels()[self.rows]

    @cached_property
    def unit(self) -> np.ndarray:
        """Return each slice's participant, or itself where that is not known."""
        unit = "participant" if self.cohort.participants_known else "image"
        return np.array(self.cohort.unit_ids(unit))[self.rows]

    @cached_property
    def facts(self) -> pd.DataFrame:
        """Return what is known of each unit beside its images, in order of id."""
        table = self.cohort.table.iloc[self.rows]
        columns = {
            "age": pd.to_numeric(table["age"], errors="coerce").to_numpy(float),
            **{
                name: table[name].astype(object).where(table[name] != UNKNOWN, np.nan)
                for name in ("sex", "site")
            },
        }
        frame = pd.DataFrame({name: np.asarray(v) for name, v in columns.items()})
        return frame.groupby(self.unit).first()

    @cached_property
    def first(self) -> Int[np.ndarray, " u"]:
        """Return the place of each unit's first slice, in order of id."""
        return np.unique(self.unit, return_index=True)[1]

    @cached_property
    def unit_of_row(self) -> Int[np.ndarray, " n"]:
        """Return the place of each slice's unit, in order of id."""
        return np.unique(self.unit, return_inverse=True)[1]


def at_once_of(images: UInt8[np.ndarray, "s c *space"]) -> int:
    """Return how many scans are changed together, so that memory stays small.

    >>> at_once_of(np.zeros((1, 1, 208, 176), np.uint8))
    273
    """
    return max(1, _AT_ONCE // prod(images.shape[1:]))


def file_name(floor: str) -> str:
    """Name the table of a floor.

    >>> file_name("this model, brain erased")
    'this-model-brain-erased.tsv'
    """
    return re.sub(r"[^a-z0-9]+", "-", floor.lower()).strip("-") + ".tsv"


def floor_predictions(
    known: Part | None,
    asked: Part,
    *,
    classes: tuple[str, ...],
    trained_on: Int[np.ndarray, " u"],
    answer_erased: Callable[[Images], Said] | None = None,
    seed: int = 0,
) -> dict[str, Predictions]:
    """Return what needs no network says of the scored rows, by name of the floor.

    They stand in order of how little they see; of equally good ones the first is named.
    A floor that cannot be computed (one class to learn from) is left out.

    Args:
        known: what the network was trained on; None if the scans are not at hand.
        asked: what is scored.
        classes: of the network.
        trained_on: the label of each unit that was trained on.
        answer_erased: what the network says of slices, given here without the head,
            and how much each asks to count in its visit; None: all the same.
        seed: of the dice of chance.
    """
    k, rng = len(classes), np.random.default_rng(seed)
    chance = floors.stratified_chance(
        trained_on, len(asked.first), num_classes=k, rng=rng
    )
    told = {
        MAJORITY: floors.majority(trained_on, len(asked.rows), num_classes=k),
        CHANCE: chance[asked.unit_of_row],
    }
    if known is not None:
        told |= _facts(known, asked, k)
        told |= _linear(SILHOUETTE, known, asked, k)
    scores: dict[str, np.ndarray] = {}
    if answer_erased is not None:
        at_once = at_once_of(asked.images)
        parts = [
            answer_erased(erase(asked.images[asked.rows[start : start + at_once]]))
            for start in range(0, len(asked.rows), at_once)
        ]
        told[ERASED] = np.concatenate([probabilities for probabilities, _ in parts])
        weigh = [one for _, one in parts if one is not None]
        scores |= {ERASED: np.concatenate(weigh)} if weigh else {}
    if known is not None:
        told[NEIGHBOR] = floors.nearest_neighbor(
            known.shrunk(), known.label, asked.shrunk(), num_classes=k
        )
        told |= _linear(LINEAR, known, asked, k)
    return {
        name: predictions_of_rows(
            asked.cohort, asked.rows, probabilities, scores=scores.get(name)
        )
        for name, probabilities in told.items()
    }


def relearned_floors(
    known: Part, asked: Part, *, classes: tuple[str, ...], seed: int = 0
) -> dict[str, Relearned]:
    """Return what the linear floors say once the labels they learn are dealt out anew.

    Args:
        known: what the network was trained on.
        asked: what is scored.
        classes: of the network.
        seed: of the deals.
    """
    names = tuple(asked.unit[asked.first].tolist())
    told = {}
    for name in (SILHOUETTE, LINEAR):
        with suppress(UndefinedScoreError):
            answers = floors.linear_of_permuted_labels(
                _seen_by(name, known),
                known.label[known.first],
                _seen_by(name, asked),
                num_classes=len(classes),
                rng=np.random.default_rng(seed),
            )
            told[name] = Relearned(names, answers)
    return told


def _facts(known: Part, asked: Part, k: int) -> dict[str, np.ndarray]:
    """Return what is told by age, sex and site, as far as they are known."""
    facts = [name for name in FACTS if _is_known(name, known, asked)]
    told = {}
    with suppress(UndefinedScoreError):
        if facts:
            answer = floors.facts_alone(
                known.facts[facts],
                known.label[known.first],
                asked.facts[facts],
                num_classes=k,
            )
            told[f"{' and '.join(facts)} alone"] = answer[asked.unit_of_row]
    return told


def _linear(name: str, known: Part, asked: Part, k: int) -> dict[str, np.ndarray]:
    """Give each scored row the answer for its participant, or for itself."""
    ours, theirs = _seen_by(name, known), _seen_by(name, asked)
    told = {}
    with suppress(UndefinedScoreError):
        answer = floors.linear(ours, known.label[known.first], theirs, num_classes=k)
        told[name] = answer[asked.unit_of_row]
    return told


def _seen_by(name: str, part: Part) -> Float[np.ndarray, "u f"]:
    """Return what a linear floor sees of each unit."""
    return part.features_erased if name == SILHOUETTE else part.features


def _is_known(name: str, known: Part, asked: Part) -> bool:
    """Say whether a fact is known of nearly everybody, and is not the same for all."""
    enough = all(
        part.facts[name].isna().mean() <= MOST_UNKNOWN for part in (known, asked)
    )
    return enough and known.facts[name].nunique() > 1
