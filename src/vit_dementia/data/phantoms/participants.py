"""The people of a phantom cohort: everything random about each, drawn from one seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vit_dementia.data.phantoms.anatomy import GRADES
from vit_dementia.data.phantoms.atlas import FIELDS
from vit_dementia.data.phantoms.lattices import Lattice
from vit_dementia.data.phantoms.settings import Appearance, Variation

_MOST_OF_A_HIPPOCAMPUS = 0.65  # of its radius: some of it is left in everybody


@dataclass(frozen=True, kw_only=True)
class Shrinkage:
    """How much tissue is missing against the template, in one person.

    Attributes:
        ventricles_mm: how far the wall of each of ``FIELDS`` has moved out.
        hippocampi: share of the radius lost, left and right.
        sulci_mm: half width of the sulci, before it varies from place to place.
        lobes_mm: what disease adds to that width where its pattern is 1.
    """

    ventricles_mm: Float[np.ndarray, " f"]
    hippocampi: Float[np.ndarray, 2]
    sulci_mm: float
    lobes_mm: float


@dataclass(frozen=True, kw_only=True)
class Participant:
    """One person and one scan of them.

    Attributes:
        grade: index into ``GRADES``; 0 has no dementia.
        atrophy: strength of the disease; 0 in those without.
        pose: 3x3 matrix from millimetres in the scanner to millimetres in the template.
        shift_mm: place of the template's origin in the scanner.
        bends: smooth fields of three components, added to the place in the template.
        healthy: tissue missing by nature and by age.
        diseased: the same and what dementia took.
        sulcus_place: half width of sulci from place to place.
        pattern: where the cortex shrinks by disease: logarithm of the share.
        cortex: share of white matter where cortex begins, against the usual half.
        contrast: gray values of fluid, gray and white matter.
        bias: logarithm of the coil's sensitivity.
        noise: standard deviation in the two channels of the receiver.
        noise_seed: the seed of that noise.
    """

    participant_id: str
    grade: int
    age_years: float
    sex: str
    atrophy: float
    pose: Float[np.ndarray, "3 3"]
    shift_mm: Float[np.ndarray, 3]
    bends: tuple[Lattice, ...]
    healthy: Shrinkage
    diseased: Shrinkage
    sulcus_place: Lattice
    pattern: Lattice
    cortex: Lattice
    contrast: Float[np.ndarray, 3]
    bias: Lattice
    noise: float
    noise_seed: np.random.SeedSequence

    @property
    def label(self) -> str:
        """Name of the class."""
        return GRADES[self.grade].label


def grade_of(number: int, *, classes: int, seed: int) -> int:
    """Say which grade the participant with this number has.

    Half of the people have none, the others share the grades; they come in shuffled
    blocks, so that neither the number nor the size of the cohort tells anything.

    >>> grades = [grade_of(n, classes=3, seed=0) for n in range(1, 9)]
    >>> sorted(grades)
    [0, 0, 0, 0, 1, 1, 2, 2]
    """
    block = [0] * (classes - 1) + list(range(1, classes))
    which, place = divmod(number - 1, len(block))
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1, which]))
    return block[int(rng.permutation(len(block))[place])]


def draw_participant(
    number: int,
    *,
    classes: int,
    seed: int,
    variation: Variation,
    appearance: Appearance,
) -> Participant:
    """Draw the participant with this number (from 1) of the cohort with this seed."""
    source = np.random.SeedSequence([seed, 0, number])
    person, body, scanner, noise_seed = source.spawn(4)
    rng = np.random.default_rng(person)
    grade = GRADES[grade_of(number, classes=classes, seed=seed)]
    strength = grade.atrophy + grade.spread * _bounded_normal(rng)
    atrophy = max(float(strength), 0.15) if grade.atrophy else 0.0
    wear = float(rng.beta(1.5, 1.5))  # of age: 0 the youngest brain, 1 the oldest
    age = 60 + 22 * wear + 4 * _bounded_normal(rng) + 3 * min(atrophy, 1)
    sex = "F" if rng.random() < 0.55 else "M"
    healthy, diseased = _draw_shrinkage(rng, wear, atrophy, variation)
    rng = np.random.default_rng(body)
    pose, shift = _draw_pose(rng, sex, variation)
    v = variation
    bends = (
        Lattice.draw(rng, spacing_mm=40.0, scale=v.bend_mm_sd, components=3),
        Lattice.draw(rng, spacing_mm=14.0, scale=v.fold_mm_sd, components=3),
    )
    sulcus_place = Lattice.draw(rng, spacing_mm=12.0, scale=v.sulcus_place_mm_sd)
    pattern = Lattice.draw(rng, spacing_mm=35.0, scale=v.pattern_sd)
    cortex = Lattice.draw(rng, spacing_mm=30.0, scale=v.cortex_place_sd)
    cortex.nodes[:] += v.cortex_sd * _bounded_normal(rng)
    rng = np.random.default_rng(scanner)
    white = rng.uniform(*appearance.white)
    return Participant(
        participant_id=f"sub-{number:04d}",
        grade=GRADES.index(grade),
        age_years=round(float(np.clip(age, 55, 95)), 1),
        sex=sex,
        atrophy=atrophy,
        pose=pose,
        shift_mm=shift,
        bends=bends,
        healthy=healthy,
        diseased=diseased,
        sulcus_place=sulcus_place,
        pattern=pattern,
        cortex=cortex,
        contrast=white
        * np.array([rng.uniform(*appearance.fluid), rng.uniform(*appearance.gray), 1]),
        bias=Lattice.draw(
            rng, spacing_mm=appearance.bias_spacing_mm, scale=appearance.bias_sd
        ),
        noise=float(rng.uniform(*appearance.noise)),
        noise_seed=noise_seed,
    )


def _bounded_normal(rng: np.random.Generator) -> float:
    """Draw from a normal distribution, no further out than 2."""
    return float(np.clip(rng.standard_normal(), -2, 2))


def _draw_shrinkage(
    rng: np.random.Generator, wear: float, atrophy: float, v: Variation
) -> tuple[Shrinkage, Shrinkage]:
    """Draw the tissue missing without and with the disease."""
    own = rng.normal(0, v.ventricle_mm_sd)
    part = rng.normal(0, v.ventricle_part_mm_sd, len(FIELDS))
    ventricles = own + part + v.aging_ventricle_mm * wear
    hippocampi = rng.normal(v.aging_hippocampus * wear, v.hippocampus_sd, 2)
    sulci = rng.normal(v.sulcus_mm_mean, v.sulcus_mm_sd) + v.aging_sulcus_mm * wear
    # Who loses more in one structure loses less in another: the sum is the grade's.
    share = np.exp(rng.normal(0, v.pattern_sd, 3))
    share *= 3 / share.sum()
    side = np.exp(rng.normal(0, v.pattern_sd / 2, 2))
    side *= 2 / side.sum()
    healthy = Shrinkage(
        ventricles_mm=ventricles, hippocampi=hippocampi, sulci_mm=sulci, lobes_mm=0.0
    )
    grown = v.disease_ventricle_mm * atrophy * share[0] * np.repeat(side, 2)
    lost = v.disease_hippocampus * atrophy * share[1] * side
    diseased = Shrinkage(
        ventricles_mm=ventricles + grown,
        hippocampi=np.minimum(hippocampi + lost, _MOST_OF_A_HIPPOCAMPUS),
        sulci_mm=sulci,
        lobes_mm=float(v.disease_sulcus_mm * atrophy * share[2]),
    )
    return healthy, diseased


def _draw_pose(
    rng: np.random.Generator, sex: str, v: Variation
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, 3]]:
    """Draw the size of the head and how it lies in the scanner."""
    size = v.size_mean + v.size_sd * _bounded_normal(rng)
    size += 0.015 if sex == "M" else -0.015
    stretch = size * (1 + v.stretch_sd * np.clip(rng.standard_normal(3), -2, 2))
    turns = np.deg2rad(v.turn_degrees_sd * np.clip(rng.standard_normal(3), -2, 2))
    rotation = np.eye(3)
    for axis, angle in enumerate(turns):
        one = np.eye(3)
        a, b = [i for i in range(3) if i != axis]
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ one
    shift = v.shift_mm_sd * np.clip(rng.standard_normal(3), -2, 2)
    return np.diag(1 / stretch) @ rotation, shift
