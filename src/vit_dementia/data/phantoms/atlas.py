"""The template made ready for rendering: tissue, sulci, and which way things grow.

Letters: ``x``, ``y``, ``z`` voxels; ``c`` channels; ``n`` points; ``i``,
``j``, ``k`` voxels of a coarser grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Float32

from vit_dementia.data.phantoms import anatomy

if TYPE_CHECKING:
    from vit_dementia.data.phantoms.anatomy import Ellipsoid

CHANNELS = ("brain", "csf", "white", "sulcus_mm")
FIELDS = ("front left", "back left", "front right", "back right")
FIELD_STEP = 3
_GROWTH_DEVIATION = 6.0  # voxels: how far around a ventricle the way into it leads
FARTHEST_MM = 8.0  # distances from a sulcus are cut off here

Map = Float32[np.ndarray, "x y z"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Values on an isotropic grid along the axes of the template's space.

    Attributes:
        values: last axis holds the channels.
        origin_mm: place of the first voxel.
        step_mm: distance between voxels.
    """

    values: Float32[np.ndarray, "x y z c"]
    origin_mm: tuple[float, float, float]
    step_mm: float

    def at(self, points_mm: Float[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n c"]:
        """Interpolate linearly; points outside take the nearest edge.

        >>> values = np.arange(8, dtype=np.float32).reshape(2, 2, 2, 1)
        >>> grid = Grid(values=values, origin_mm=(0.0, 0.0, 0.0), step_mm=2.0)
        >>> grid.at(np.array([[1.0, 0.0, 0.0], [2.0, 2.0, 9.0]])).tolist()
        [[2.0], [7.0]]
        """
        nx, ny, nz, channels = self.values.shape
        flat = self.values.reshape(-1, channels)
        first = np.zeros(len(points_mm), dtype=np.intp)
        parts = []
        for axis, (count, stride) in enumerate(((nx, ny * nz), (ny, nz), (nz, 1))):
            place = (points_mm[:, axis] - self.origin_mm[axis]) / self.step_mm
            place = np.clip(place, 0, count - 1).astype(np.float32)
            low = np.minimum(place.astype(np.intp), count - 2)
            first += low * stride
            part = place - low.astype(np.float32)
            parts.append((1 - part, part))
        total = np.zeros((channels, len(points_mm)), dtype=np.float32)
        for i, j, k in np.ndindex(2, 2, 2):
            weight = parts[0][i] * parts[1][j] * parts[2][k]
            values = flat.take(first + (i * ny * nz + j * nz + k), axis=0)
            total += values.T * weight
        return total.T


@dataclass(frozen=True, kw_only=True, eq=False)
class Atlas:
    """What rendering needs to know of the template.

    Attributes:
        tissue: ``CHANNELS``: inside the brain; share of fluid; share of white matter in
            what is not fluid; millimetres from the middle of the nearest sulcus.
        growth: for each of ``FIELDS`` where to look instead, so that this part of the
            ventricles becomes larger; the longest step is 1 mm.
    """

    tissue: Grid
    growth: tuple[Grid, ...]


@lru_cache(maxsize=1)
def load_atlas() -> Atlas:
    """Make the atlas from the template files inside nilearn, in a few seconds."""
    from nilearn import datasets

    image = datasets.load_mni152_template(resolution=1)
    maps = {
        "intensity": image,
        "gray": datasets.load_mni152_gm_template(resolution=1),
        "white": datasets.load_mni152_wm_template(resolution=1),
        "brain": datasets.load_mni152_brain_mask(resolution=1),
    }
    # Two voxels of air on every side: places beyond the edge take its value.
    volume = {
        name: np.pad(m.get_fdata(dtype=np.float32), 2) for name, m in maps.items()
    }
    occupied = np.argwhere(volume["brain"] > 0)
    low, high = occupied.min(axis=0) - 2, occupied.max(axis=0) + 3
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    volume = {name: v[box] for name, v in volume.items()}
    corner = image.affine[:3, 3] + low - 2
    origin: tuple[float, float, float] = (*map(float, corner),)  # type: ignore[assignment]
    return build_atlas(volume, origin)


def build_atlas(volume: dict[str, Map], origin_mm: tuple[float, float, float]) -> Atlas:
    """Make an atlas from maps of intensity, gray and white matter and brain at 1 mm."""
    from scipy import ndimage

    brain = (volume["brain"] > 0).astype(np.float32)
    fluid = np.clip(brain - volume["gray"] - volume["white"], 0, 1)
    place = np.meshgrid(
        *(np.arange(n) + o for n, o in zip(brain.shape, origin_mm, strict=True)),
        indexing="ij",
        sparse=True,
    )
    ventricles = [
        ventricle_around(fluid > 0.5, seed, origin_mm)
        for seed in anatomy.VENTRICLE_SEEDS_MM
    ]
    outside = _distance(brain > 0)
    lines = _sulcal_lines(volume["intensity"], volume["gray"], fluid, place)
    lines &= ~ndimage.binary_dilation(ventricles[0] | ventricles[1], iterations=4)
    sulcus = _distance(~lines)
    # The outer surface shrinks too, but less: the skull keeps its shape.
    sulcus = np.minimum(np.minimum(sulcus, outside + 1), FARTHEST_MM)
    share = volume["white"] / np.maximum(volume["white"] + volume["gray"], 0.05)
    tissue = (
        brain,
        smoothstep(fluid, 0.2, 0.7),
        share,
        sulcus,
    )
    growth = (
        Grid(values=_growth(part), origin_mm=origin_mm, step_mm=float(FIELD_STEP))
        for part in _parts(ventricles, place)
    )
    return Atlas(
        tissue=Grid(values=np.stack(tissue, axis=-1), origin_mm=origin_mm, step_mm=1.0),
        growth=tuple(growth),
    )


def smoothstep(
    value: Float32[np.ndarray, ...],
    low: float | Float32[np.ndarray, ...],
    high: float | Float32[np.ndarray, ...],
) -> Float32[np.ndarray, ...]:
    """Rise smoothly from 0 at ``low`` to 1 at ``high``.

    >>> smoothstep(np.array([0, 1, 2, 3], dtype=np.float32), 1, 3).tolist()
    [0.0, 0.0, 0.5, 1.0]
    """
    t = np.clip((value - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def radius(
    body: Ellipsoid, points_mm: Float[np.ndarray, "n 3"]
) -> Float32[np.ndarray, " n"]:
    """Say how far out points lie: 0 in the center, 1 on the surface.

    >>> body = anatomy.Ellipsoid(center_mm=(0.0, 0.0, 0.0), radii_mm=(1.0, 2.0, 3.0))
    >>> radius(body, np.array([[0.0, 0, 0], [0, 2, 0], [2, 0, 0]])).tolist()
    [0.0, 1.0, 2.0]
    """
    x, y, z = (points_mm - np.array(body.center_mm)).T
    pitch = np.deg2rad(body.pitch_degrees)
    along = np.cos(pitch) * y - np.sin(pitch) * z
    across = np.sin(pitch) * y + np.cos(pitch) * z
    a, b, c = body.radii_mm
    return np.sqrt((x / a) ** 2 + (along / b) ** 2 + (across / c) ** 2).astype(
        np.float32
    )


def _distance(mask: Bool[np.ndarray, "x y z"]) -> Map:
    """Return how far the next voxel outside a mask is."""
    from scipy import ndimage

    return np.asarray(ndimage.distance_transform_edt(mask), dtype=np.float32)


def ventricle_around(
    mask: Bool[np.ndarray, "x y z"],
    seed_mm: anatomy.Point,
    origin_mm: tuple[float, float, float],
) -> Bool[np.ndarray, "x y z"]:
    """Return the lateral ventricle of one side: fluid joined to a seed, not midline."""
    from scipy import ndimage

    x = np.arange(mask.shape[0]) + origin_mm[0]
    own_side = mask & ((x * np.sign(seed_mm[0]) > 1)[:, None, None])
    own_side = ndimage.binary_opening(own_side)
    labels = np.zeros(mask.shape, dtype=np.int32)
    ndimage.label(own_side, output=labels)
    seed = tuple(int(s - o) for s, o in zip(seed_mm, origin_mm, strict=True))
    near = labels[tuple(slice(s - 5, s + 6) for s in seed)]
    sizes = np.bincount(near[near > 0])
    assert sizes.size, "the seed must lie beside a ventricle of the template"
    return labels == int(sizes.argmax())


def _sulcal_lines(
    intensity: Map, gray: Map, fluid: Map, place: tuple[Any, ...]
) -> Bool[np.ndarray, "x y z"]:
    """Mark the middle of sulci: fluid, or darker than the gray matter beside."""
    from scipy import ndimage

    dip = ndimage.gaussian_filter(intensity, 2.0) - intensity
    x, y, z = place
    center, radii = anatomy.DEEP_GRAY.center_mm, anatomy.DEEP_GRAY.radii_mm
    deep = sum(
        ((p - c) / r) ** 2 for p, c, r in zip((x, y, z), center, radii, strict=True)
    )
    _, back, top = anatomy.CEREBELLUM_TOP_MM
    cerebellum = (y < back) & (z < top)
    lines = (fluid > 0.35) | ((dip > 0.03) & (gray > 0.4))
    return lines & (deep > 1) & ~cerebellum


def _parts(
    ventricles: list[Bool[np.ndarray, "x y z"]], place: tuple[Any, ...]
) -> list[Bool[np.ndarray, "x y z"]]:
    """Part each ventricle into front and back, in the order of ``FIELDS``."""
    front = place[1] > anatomy.VENTRICLE_BORDER_MM
    return [v & side for v in ventricles for side in (front, ~front)]


def _growth(part: Bool[np.ndarray, "x y z"]) -> Float32[np.ndarray, "i j k 3"]:
    """Return the way into a body from around it, longest 1, on a coarse grid.

    Whoever looks there from just outside sees the inside: the body becomes larger.
    """
    from scipy import ndimage

    # Farther from the body than four deviations, where the filter ends, all is 0.
    reach = int(4.0 * _GROWTH_DEVIATION) + 1
    (body,) = ndimage.find_objects(part.astype(np.int8))
    near = tuple(slice(max(s.start - reach, 0), s.stop + reach) for s in body)
    smooth = np.zeros(part.shape, dtype=np.float32)
    smooth[near] = ndimage.gaussian_filter(
        part[near].astype(np.float32), _GROWTH_DEVIATION
    )
    smooth = smooth[(slice(None, None, FIELD_STEP),) * 3]
    field = np.stack(np.gradient(smooth), axis=-1)
    return (field / np.linalg.norm(field, axis=-1).max()).astype(np.float32)
