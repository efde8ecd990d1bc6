"""How much of a map lies in which part of the brain, in the space of the template.

The template (ICBM 152 2009a, inside nilearn) has maps of gray and white matter and no
atlas. So parts are made of what is published as numbers: hippocampi and ventricles are
those of the phantoms (``data.phantoms.anatomy``), and the rest of the gray matter
belongs to the lobe of the nearest of the AAL's regions, by the middles of those
(Tzourio-Mazoyer et al. 2002, doi 10.1006/nimg.2001.0978). Borders are right to about a
centimeter: enough for maps whose patches are that wide, and for nothing else.

Left and right are the person's, by the affine.

Shapes: x y z voxels; i j k voxels of another grid; n places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, UInt8

from vit_dementia.data.phantoms.anatomy import HIPPOCAMPI, VENTRICLE_SEEDS_MM
from vit_dementia.data.phantoms.atlas import radius, ventricle_around
from vit_dementia.data.volumes import Volume

Point = tuple[int, int, int]

CENTERS_MM: Mapping[str, tuple[Point, ...]] = {
    "frontal lobe": (
        (-39, -6, 51), (-18, 35, 42), (-17, 47, -13), (-33, 33, 35), (-31, 50, -10),
        (-48, 13, 19), (-46, 30, 14), (-36, 31, -12), (-47, -8, 14), (-5, 5, 61),
        (-8, 15, -11), (-5, 49, 31), (-5, 54, -7), (-5, 37, -18), (-8, -25, 70),
    ),
    "insula": ((-35, 7, 3),),
    "cingulate gyrus": ((-4, 35, 14), (-5, -15, 42), (-5, -43, 25)),
    "temporal lobe": (
        (-21, -16, -21), (-23, -1, -17), (-31, -40, -20), (-42, -19, 10),
        (-53, -21, 7), (-40, 15, -20), (-56, -34, -2), (-36, 15, -34), (-50, -28, -23),
    ),
    "occipital lobe": (
        (-7, -79, 6), (-6, -80, 27), (-15, -68, -5), (-17, -84, 28), (-32, -81, 16),
        (-36, -78, -8),
    ),
    "parietal lobe": (
        (-42, -23, 49), (-23, -60, 59), (-43, -46, 47), (-56, -34, 30), (-44, -61, 36),
        (-7, -56, 48),
    ),
    "deep gray matter": ((-11, 11, 9), (-24, 4, 2), (-18, 0, 0), (-11, -18, 8)),
    "cerebellum": (
        (-36, -67, -29), (-29, -73, -38), (-9, -37, -19), (-15, -43, -17),
        (-23, -59, -22), (-32, -60, -45), (-26, -55, -48), (-11, -49, -46),
        (-23, -34, -42),
    ),
}  # fmt: skip
"""Middles of the left regions; the right ones are taken to mirror them."""

ELSEWHERE = "elsewhere"
_OWN = ("hippocampus", "lateral ventricle")
NAMES = tuple(
    f"{side} {part}" for part in (*_OWN, *CENTERS_MM) for side in ("left", "right")
)
_GRAY = 0.4  # least share of gray matter
_STEP = 2  # millimeters of the grid, of the template's voxels of 1 mm


@dataclass(frozen=True, eq=False)
class Template:
    """The template on a grid of 2 mm.

    Attributes:
        labels: number of each voxel's region in ``NAMES``, from 1; 0: none of them.
        picture: T1-weighted, to draw on.
        affine: from voxels to millimeters.
    """

    labels: UInt8[np.ndarray, "x y z"]
    picture: Float32[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]


@dataclass(frozen=True)
class Share:
    """What part of a map's positive relevance lies in a region.

    Attributes:
        share: in [0, 1]; those of all regions and ``ELSEWHERE`` sum to 1.
        times_even: how many times as much as an even map of the same voxels has there;
            None where the region holds no voxel.
    """

    region: str
    share: float
    times_even: float | None


@lru_cache(maxsize=1)
def load_template() -> Template:
    """Make the regions from the template files inside nilearn, in a few seconds."""
    from nilearn import datasets

    brain = datasets.load_mni152_brain_mask(resolution=1)
    gray = datasets.load_mni152_gm_template(resolution=1).get_fdata(dtype=np.float32)
    white = datasets.load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32)
    fluid = (brain.get_fdata(dtype=np.float32) > 0) - gray - white > 0.5
    x, y, z = brain.affine[:3, 3].tolist()
    cut = (slice(None, None, _STEP),) * 3
    affine = brain.affine @ np.diag([_STEP, _STEP, _STEP, 1.0])
    labels = np.zeros(fluid[cut].shape, np.uint8)
    cortex = gray[cut] > _GRAY
    labels[cortex] = of_places(_millimeters(np.argwhere(cortex), affine))
    for number, seed in enumerate(
        VENTRICLE_SEEDS_MM, 1 + NAMES.index("left " + _OWN[1])
    ):
        labels[ventricle_around(fluid, seed, (x, y, z))[cut]] = number
    everywhere = _millimeters(np.argwhere(np.ones_like(cortex)), affine)
    for number, body in enumerate(HIPPOCAMPI, 1):
        labels[(radius(body, everywhere) < 1).reshape(labels.shape)] = number
    image = datasets.load_mni152_template(resolution=1).get_fdata(dtype=np.float32)
    return Template(labels, np.ascontiguousarray(image[cut]), affine)


def of_places(places_mm: Float[np.ndarray, "n 3"]) -> UInt8[np.ndarray, " n"]:
    """Return the number of the lobe, in ``NAMES`` from 1, at places of gray matter.

    >>> NAMES[of_places(np.array([[40.0, -20.0, 50.0]]))[0] - 1]
    'right parietal lobe'
    """
    from scipy.spatial import KDTree

    middles = [middle for some in CENTERS_MM.values() for middle in some]
    lobe_of = [
        lobe for lobe, some in enumerate(CENTERS_MM.values(), len(_OWN)) for _ in some
    ]
    mirrored = places_mm * [-1, 1, 1]
    on_left = np.where(places_mm[:, :1] < 0, places_mm, mirrored)
    _, nearest = KDTree(middles).query(on_left)
    lobe = np.array(lobe_of)[nearest]
    return (2 * lobe + 1 + (places_mm[:, 0] >= 0)).astype(np.uint8)


def by_region(relevance: Volume, template: Template) -> list[Share]:
    """Return how a map's positive relevance is shared out, region by region.

    Args:
        relevance: a map of a scan in the template's space, on any grid.
        template: with the regions.
    """
    labels = _laid(template.labels, template.affine, relevance.affine,
                   relevance.voxels.shape, order=0)  # fmt: skip
    positive = np.clip(relevance.voxels, 0, None).ravel().astype(float)
    total = positive.sum()
    sums = np.bincount(labels.ravel(), weights=positive, minlength=len(NAMES) + 1)
    counts = np.bincount(labels.ravel(), minlength=len(NAMES) + 1)
    shares = sums / total if total > 0 else np.zeros_like(sums)
    even = counts / counts.sum()
    found = [
        Share(
            name,
            float(shares[number]),
            float(shares[number] / even[number]) if counts[number] else None,
        )
        for number, name in enumerate((ELSEWHERE, *NAMES))
    ]
    return [*found[1:], found[0]]


def on_template(relevance: Volume, template: Template) -> Float32[np.ndarray, "x y z"]:
    """Return a map on the template's grid; zero where the scan has no voxel."""
    return _laid(relevance.voxels, relevance.affine, template.affine,
                 template.labels.shape, order=1)  # fmt: skip


def _laid(
    values: np.ndarray,
    affine: Float[np.ndarray, "4 4"],
    wanted: Float[np.ndarray, "4 4"],
    shape: tuple[int, ...],
    *,
    order: Literal[0, 1],
) -> np.ndarray:
    """Return the values of one grid at the voxels of another."""
    from scipy.ndimage import affine_transform

    way = np.linalg.inv(affine) @ wanted
    laid: np.ndarray = affine_transform(
        values, way[:3, :3], way[:3, 3], output_shape=shape, order=order
    )
    return laid


def _millimeters(
    voxels: np.ndarray, affine: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "n 3"]:
    return voxels @ affine[:3, :3].T + affine[:3, 3]
