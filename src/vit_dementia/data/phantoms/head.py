"""What surrounds the brain of a whole-head phantom: skull, scalp, face and neck.

nilearn's template has no head. This one is made of distances from the brain and of a
few bodies in one table; it looks like a T1-weighted head to quality control and to
skull stripping, and it resembles nobody. Letters: ``x``, ``y``, ``z`` voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from vit_dementia.data.phantoms.anatomy import Ellipsoid
from vit_dementia.data.phantoms.atlas import Atlas, Grid, radius
from vit_dementia.data.phantoms.lattices import HIGHEST_MM, LOWEST_MM

STEP_MM = 2.0

Map = Float32[np.ndarray, "x y z"]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A shell, and its gray value against white matter."""

    name: str
    until_mm: float
    gray: float


AROUND_THE_BRAIN = (
    Layer(name="fluid", until_mm=2.0, gray=0.2),
    Layer(name="inner table", until_mm=4.0, gray=0.1),
    Layer(name="marrow", until_mm=6.5, gray=0.5),
    Layer(name="outer table", until_mm=9.0, gray=0.1),
)
"""From the surface of the brain outward."""

SCALP_MM = 15.0  # from the brain to the skin

UNDER_THE_SKIN = (
    Layer(name="skin", until_mm=2.0, gray=0.55),
    Layer(name="fat", until_mm=6.0, gray=1.0),
    Layer(name="muscle", until_mm=np.inf, gray=0.45),
)
"""From the surface of the head inward, outside the skull."""

SKULL_BASE_MM = -62.0  # below this z there is no skull around the brain stem


def _body(
    center: tuple[float, float, float], r: tuple[float, float, float]
) -> Ellipsoid:
    return Ellipsoid(center_mm=center, radii_mm=r)


FLESH = (
    _body((0.0, 42.0, -68.0), (58.0, 52.0, 68.0)),  # face
    _body((0.0, 30.0, -112.0), (46.0, 50.0, 32.0)),  # jaw
    _body((0.0, 94.0, -62.0), (13.0, 16.0, 20.0)),  # nose
    _body((0.0, -32.0, -130.0), (62.0, 58.0, 110.0)),  # neck
)
"""Bodies that make up the head together with the scalp."""

INSIDE = (
    (_body((32.0, 64.0, -34.0), (17.0, 18.0, 16.0)), 0.95),  # fat of the orbits
    (_body((-32.0, 64.0, -34.0), (17.0, 18.0, 16.0)), 0.95),
    (_body((32.0, 70.0, -34.0), (12.0, 12.0, 12.0)), 0.22),  # eyes
    (_body((-32.0, 70.0, -34.0), (12.0, 12.0, 12.0)), 0.22),
    (_body((0.0, 66.0, -60.0), (13.0, 28.0, 20.0)), 0.0),  # air of the nose
    (_body((27.0, 58.0, -66.0), (13.0, 15.0, 14.0)), 0.0),  # and of its sinuses
    (_body((-27.0, 58.0, -66.0), (13.0, 15.0, 14.0)), 0.0),
    (_body((0.0, 22.0, -115.0), (9.0, 7.0, 55.0)), 0.0),  # throat
    (_body((0.0, 44.0, -94.0), (25.0, 30.0, 16.0)), 0.6),  # tongue
    (_body((0.0, -22.0, -140.0), (15.0, 14.0, 62.0)), 0.12),  # bone of the spine
    (_body((0.0, -22.0, -140.0), (12.0, 11.0, 60.0)), 0.5),  # and its marrow
    (_body((0.0, -46.0, -130.0), (11.0, 10.0, 75.0)), 0.2),  # fluid around the cord
    (_body((0.0, -46.0, -130.0), (6.0, 5.0, 75.0)), 0.8),  # spinal cord
)
"""Later ones lie in front of earlier ones."""


def load_head(atlas: Atlas) -> Grid:
    """Return gray values, as a share of white matter's, of all that is not brain."""
    from scipy import ndimage

    axes = [
        np.arange(low, high, STEP_MM)
        for low, high in zip(LOWEST_MM, HIGHEST_MM, strict=True)
    ]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    shape = tuple(len(axis) for axis in axes)
    brain = atlas.tissue.at(places)[:, 0].reshape(shape) > 0.5
    brain = ndimage.binary_closing(np.pad(brain, 6), iterations=5)[6:-6, 6:-6, 6:-6]
    from_brain = _distance(~brain)
    flesh = from_brain < SCALP_MM
    for body in FLESH:
        flesh |= (radius(body, places) < 1).reshape(shape)
    flesh = ndimage.gaussian_filter(flesh.astype(np.float32), 3.0) > 0.5
    gray = _shells(UNDER_THE_SKIN, _distance(flesh)) * flesh
    for body, value in INSIDE:
        gray[(radius(body, places) < 1).reshape(shape) & flesh] = value
    skull = from_brain < AROUND_THE_BRAIN[-1].until_mm
    skull &= axes[2] > SKULL_BASE_MM
    gray = np.where(skull, _shells(AROUND_THE_BRAIN, from_brain), gray)
    gray = ndimage.gaussian_filter(gray, 0.5)  # voxels hold more than one tissue
    return Grid(
        values=gray[..., None].astype(np.float32), origin_mm=LOWEST_MM, step_mm=STEP_MM
    )


def _distance(mask: Bool[np.ndarray, "x y z"]) -> Map:
    """Return how far, in millimetres, the nearest voxel outside a mask is."""
    from scipy import ndimage

    far = ndimage.distance_transform_edt(mask, sampling=STEP_MM)
    return np.asarray(far, dtype=np.float32)


def _shells(layers: tuple[Layer, ...], distance_mm: Map) -> Map:
    """Return the gray value of the layer at each distance."""
    ends = np.array([layer.until_mm for layer in layers])
    grays = np.array([layer.gray for layer in layers], dtype=np.float32)
    which = np.searchsorted(ends, distance_mm)
    return grays[np.minimum(which, len(layers) - 1)]
