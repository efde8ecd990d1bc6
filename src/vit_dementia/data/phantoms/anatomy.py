"""Where things lie in the ICBM 152 template, and how much of them dementia takes.

Every number of the phantoms that is anatomy, not chance, stands in this table. Places
are millimetres in the template's space, which is right, anterior, superior (RAS+).

The template is ICBM 152 2009a (Fonov et al. 2011, doi 10.1016/j.neuroimage.2010.07.033)
as nilearn carries it: skull-stripped, without an atlas, so that hippocampi are
ellipsoids and the lateral ventricles are the connected cerebrospinal fluid around a
seed.
"""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Ellipsoid:
    """A body of three half axes around a center, its long axis tilted in the y-z plane.

    Attributes:
        center_mm: middle.
        radii_mm: half axes from left to right, from back to front, from foot to head.
        pitch_degrees: how far the front end is tipped down.
    """

    center_mm: Point
    radii_mm: Point
    pitch_degrees: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Grade:
    """One class of the cohort.

    Attributes:
        label: name of its folder.
        atrophy: mean strength of simulated atrophy; 1 is a severe case.
        spread: standard deviation of that strength among its participants.
    """

    label: str
    atrophy: float
    spread: float


GRADES = (
    Grade(label="NonDemented", atrophy=0.0, spread=0.0),
    Grade(label="VeryMildDemented", atrophy=0.45, spread=0.16),
    Grade(label="MildDemented", atrophy=0.9, spread=0.16),
    Grade(label="ModerateDemented", atrophy=1.15, spread=0.16),
)
"""From none to severe; a cohort of n classes takes the first n."""

HIPPOCAMPI = (
    Ellipsoid(
        center_mm=(-26.0, -21.0, -15.0), radii_mm=(7.0, 16.0, 6.0), pitch_degrees=15.0
    ),
    Ellipsoid(
        center_mm=(26.0, -21.0, -15.0), radii_mm=(7.0, 16.0, 6.0), pitch_degrees=15.0
    ),
)
"""Left, right."""

VENTRICLE_SEEDS_MM: tuple[Point, Point] = ((-15.0, -30.0, 20.0), (15.0, -30.0, 20.0))
"""A point inside the body of the left and of the right lateral ventricle."""

VENTRICLE_BORDER_MM = -15.0
"""The y that parts frontal horn and body from the back of a lateral ventricle."""

DEEP_GRAY = Ellipsoid(center_mm=(0.0, -8.0, 4.0), radii_mm=(31.0, 36.0, 24.0))
"""Basal ganglia and thalami: dark lines in here are no sulci."""

CEREBELLUM_TOP_MM: Point = (0.0, -45.0, -12.0)
"""Behind and below this point lies cerebellum, which this atrophy spares."""
