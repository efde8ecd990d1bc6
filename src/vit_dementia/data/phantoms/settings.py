"""Settings of a phantom cohort and how far its people differ from one another."""

from __future__ import annotations

from dataclasses import dataclass

from vit_dementia.data.phantoms.anatomy import GRADES
from vit_dementia.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PhantomConfig:
    """What the phantom cohort is made of."""

    participants: int = 60
    """people; half of them have no dementia"""
    classes: int = 3
    """none and the mildest grades of atrophy: 2, 3 or 4 in all"""
    seed: int = 0
    """the same seed gives the same bytes"""
    volumes: bool = False
    """whole volumes as a BIDS data set instead of axial slices"""
    whole_head: bool = False
    """with a synthetic scalp, skull and neck around the brain"""
    slices: int = 8
    """axial slices of each participant, from the hippocampi up over the ventricles"""

    def __post_init__(self) -> None:
        """Refuse impossible numbers, all of them at once.

        Raises:
            ConfigError: if a number is out of its range.
        """
        ranges = {
            "participants": (1, 9999),
            "classes": (2, len(GRADES)),
            "slices": (1, 60),
            "seed": (0, 2**63 - 1),
        }
        faults = [
            f"phantom {name}: found {getattr(self, name)}; needs {low} to {high}"
            for name, (low, high) in ranges.items()
            if not low <= getattr(self, name) <= high
        ]
        if faults:
            raise ConfigError(*faults)


@dataclass(frozen=True, kw_only=True)
class Variation:
    """How far people and scanners differ; ``*_sd`` are standard deviations.

    Set so that a linear model on pixels sees part of the difference between no dementia
    and any, a small Vision Transformer more of it, and so that the mildest grade and
    none overlap: a linear model of the true amounts of missing tissue tells them apart
    with an AUROC of 0.95, 0.96 and 0.97 (400 participants each, seeds 100 to 102).
    """

    size_mean: float = 0.93  # the template is larger than most heads
    size_sd: float = 0.035
    stretch_sd: float = 0.02  # of each axis by itself
    turn_degrees_sd: float = 3.0
    shift_mm_sd: float = 2.0
    bend_mm_sd: float = 2.5  # of the shape of the head and its lobes
    fold_mm_sd: float = 1.5  # of single gyri
    ventricle_mm_sd: float = 1.5  # own size of the ventricles
    ventricle_part_mm_sd: float = 0.4  # of its four parts by themselves
    sulcus_mm_mean: float = -0.2  # half width of a young sulcus
    sulcus_mm_sd: float = 0.08  # of a person's sulci as a whole
    sulcus_place_mm_sd: float = 0.5  # from place to place
    cortex_sd: float = 0.12  # of the share of white matter where cortex begins
    cortex_place_sd: float = 0.12  # of the same from place to place
    hippocampus_sd: float = 0.1  # of its radius
    aging_hippocampus: float = 0.06
    aging_ventricle_mm: float = 1.2  # in the oldest
    aging_sulcus_mm: float = 0.15
    disease_ventricle_mm: float = 2.4  # at atrophy 1
    disease_sulcus_mm: float = 0.6
    disease_hippocampus: float = 0.12  # of its radius, at atrophy 1
    pattern_sd: float = 0.35  # of the logarithm of each structure's share


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """Gray values, in ranges as T1-weighted scans of real heads have them."""

    fluid: tuple[float, float] = (0.14, 0.26)  # of white matter
    gray: tuple[float, float] = (0.54, 0.70)
    white: tuple[float, float] = (0.70, 0.90)  # of the full scale of the file
    bias_sd: float = 0.09  # of the logarithm of the coil's sensitivity
    bias_spacing_mm: float = 90.0
    noise: tuple[float, float] = (0.015, 0.035)  # Rician
