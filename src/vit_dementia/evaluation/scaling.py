"""Numbers that mend probabilities, fitted on validation participants only.

Temperature: one number for all classes (Guo et al. 2017, arXiv 1706.04599). Vector
scaling (their Sec. 4.2): a factor and a shift for each class, tried where every class
has many participants and kept where it is better on participants it was not fitted on.
Both change the probabilities of scans so that the participants' mean of them fits best
(by their weights, where the model weighs slices);
a weak pull to "as they are" keeps a model that was right about a few people from being
called certain.

Shapes: n rows, p participants, k classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import optimize, special

FEWEST = 10  # participants to fit a temperature on
FEWEST_OF_A_CLASS = 20  # for vector scaling
_TINY = 1e-12  # a probability of 0 has no logarithm
_SPREAD = 1.0  # of the logarithms of factors, and of shifts, before seeing anybody
_PARTS = 5  # of the participants, to choose between temperature and vector
_HIGHEST = 10.0  # a factor beyond this is a sign that nothing was learned

Probabilities = Float[np.ndarray, "n k"]


@dataclass(frozen=True)
class Scaling:
    """Factors and shifts of log-probabilities, one for each class.

    Attributes:
        method: ``temperature``, ``vector`` or ``none``.
        why: where it is ``none``, the reason.
        num_participants: fitted on.
    """

    method: str
    factor: tuple[float, ...]
    shift: tuple[float, ...]
    num_participants: int = 0
    why: str = ""

    @classmethod
    def none(cls, num_classes: int, why: str, *, people: int = 0) -> Scaling:
        """Leave probabilities as they are.

        >>> Scaling.none(2, "nobody to fit on").factor
        (1.0, 1.0)
        """
        return cls("none", (1.0,) * num_classes, (0.0,) * num_classes, people, why)

    @property
    def temperature(self) -> float | None:
        """Return the one number, above 1 where the model was too sure."""
        return 1 / self.factor[0] if self.method == "temperature" else None

    def __call__(self, probability: Probabilities) -> Probabilities:
        """Return the mended probabilities; their rows sum to 1."""
        if self.method == "none":
            return probability
        logits = np.log(np.clip(probability, _TINY, 1))
        scaled = logits * np.array(self.factor) + np.array(self.shift)
        return np.asarray(special.softmax(scaled, axis=1))

    def to_dict(self) -> dict[str, Any]:
        """Return what stands in ``calibration.json``."""
        return {
            "method": self.method,
            "temperature": self.temperature,
            "factor": list(self.factor),
            "shift": list(self.shift),
            "n_participants": self.num_participants,
            "why": self.why,
        }

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Scaling:
        """Read what ``to_dict`` has written."""
        return cls(
            method=str(told["method"]),
            factor=tuple(float(value) for value in told["factor"]),
            shift=tuple(float(value) for value in told["shift"]),
            num_participants=int(told["n_participants"]),
            why=str(told["why"]),
        )


def fit_scaling(
    label: Int[np.ndarray, " p"],
    probability: Probabilities,
    row_of: Int[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"] | None = None,
) -> Scaling:
    """Return the scaling that suits validation participants, or none and why.

    Args:
        label: of each participant.
        probability: of each row (scan).
        row_of: position of each row's participant.
        weight: of each row in the mean of its participant; None: all the same.
    """
    people, k = len(label), probability.shape[1]
    if people < FEWEST:
        why = f"{people} validation participants; {FEWEST} are needed"
        return Scaling.none(k, why, people=people)
    count = np.bincount(label, minlength=k)
    if (count > 0).sum() < 2:
        why = "all validation participants are of one class"
        return Scaling.none(k, why, people=people)
    logits = np.log(np.clip(probability, _TINY, 1))
    weight = np.ones(len(logits)) if weight is None else weight
    single = _temperature(label, logits, row_of, weight)
    if count.min() < FEWEST_OF_A_CLASS:
        return single
    both = (
        _loss_on_others(fit, label, logits, row_of, weight)
        for fit in (_temperature, _vector)
    )
    by_temperature, by_vector = both
    return (
        _vector(label, logits, row_of, weight) if by_vector < by_temperature else single
    )


def _temperature(
    label: Int[np.ndarray, " p"],
    logits: Float[np.ndarray, "n k"],
    row_of: Int[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
) -> Scaling:
    k = logits.shape[1]

    def loss(log_factor: float) -> float:
        factor = np.full(k, np.exp(log_factor))
        pull = log_factor**2 / (2 * _SPREAD**2 * len(label))
        return _loss(label, logits * factor, row_of, weight) + pull

    most = float(np.log(_HIGHEST))
    best = float(np.exp(optimize.fminbound(loss, -most, most, xtol=1e-6)))
    return Scaling("temperature", (best,) * k, (0.0,) * k, len(label))


def _vector(
    label: Int[np.ndarray, " p"],
    logits: Float[np.ndarray, "n k"],
    row_of: Int[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
) -> Scaling:
    k = logits.shape[1]

    def loss(parameters: np.ndarray) -> float:
        pull = (parameters**2).sum() / (2 * _SPREAD**2 * len(label))
        factor, shift = np.exp(parameters[:k]), parameters[k:]
        return _loss(label, logits * factor + shift, row_of, weight) + float(pull)

    most = float(np.log(_HIGHEST))
    found = optimize.minimize(
        loss, np.zeros(2 * k), method="L-BFGS-B", bounds=[(-most, most)] * (2 * k)
    ).x
    factor, shift = np.exp(found[:k]), found[k:] - found[k:].mean()
    return Scaling("vector", tuple(factor.tolist()), tuple(shift.tolist()), len(label))


def _loss(
    label: Int[np.ndarray, " p"],
    logits: Float[np.ndarray, "n k"],
    row_of: Int[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
) -> float:
    """Return the mean log-loss of participants, each the mean of their rows."""
    scaled = special.log_softmax(logits, axis=1)
    own = np.exp(scaled[np.arange(len(row_of)), label[row_of]])
    every = np.bincount(row_of, weight, len(label))
    mean = np.bincount(row_of, weight * own, len(label)) / every
    return float(-np.log(np.maximum(mean, _TINY)).mean())


def _loss_on_others(
    fit: Any,
    label: Int[np.ndarray, " p"],
    logits: Float[np.ndarray, "n k"],
    row_of: Int[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
) -> float:
    """Return the log-loss of participants under numbers fitted without them."""
    part_of = np.empty(len(label), int)
    order = np.argsort(label, kind="stable")  # each part has its share of each class
    part_of[order] = np.arange(len(label)) % _PARTS
    total = 0.0
    for part in range(_PARTS):
        left_out = np.flatnonzero(part_of == part)
        scaling = fit(
            *_only(np.flatnonzero(part_of != part), label, logits, row_of, weight)
        )
        scaled = logits * np.array(scaling.factor) + np.array(scaling.shift)
        asked = _only(left_out, label, scaled, row_of, weight)
        total += len(left_out) * _loss(*asked)
    return total / len(label)


def _only(
    people: Int[np.ndarray, " q"],
    label: Int[np.ndarray, " p"],
    logits: Float[np.ndarray, "n k"],
    row_of: Int[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    mine = np.isin(row_of, people)
    place = np.zeros(len(label), int)
    place[people] = np.arange(len(people))
    return label[people], logits[mine], place[row_of[mine]], weight[mine]
