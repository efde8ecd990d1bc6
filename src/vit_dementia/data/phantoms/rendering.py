"""From a participant to gray values and to the mask of where atrophy was put.

Letters: ``x``, ``y``, ``z`` points of the grid to render; ``n`` points within the
brain; ``c`` kinds of tissue.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32

from vit_dementia.data.phantoms import anatomy
from vit_dementia.data.phantoms.atlas import Atlas, Grid, radius, smoothstep
from vit_dementia.data.phantoms.lattices import Axes
from vit_dementia.data.phantoms.participants import Participant, Shrinkage

CHANGED = 0.25
"""A voxel belongs to the mask when more than this share of it became fluid."""

_BRAIN_MM = (-85.0, -120.0, -85.0), (85.0, 86.0, 95.0)
"""A box in the template that holds the brain with a margin for its bending."""

_EDGE_MM = 0.8  # a sulcus fades into cortex over this much to either side


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """One scan, in scanner space.

    Attributes:
        intensity: about 0 (air) to 1 (the full scale of the file).
        changed: where dementia took tissue.
    """

    intensity: Float32[np.ndarray, "x y z"]
    changed: Bool[np.ndarray, "x y z"]


def render(
    participant: Participant, atlas: Atlas, axes: Axes, head: Grid | None = None
) -> Rendering:
    """Render one participant on the grid that three axes span, in millimetres.

    Args:
        head: what surrounds the brain; without it the scan is skull-stripped.
    """
    shape = tuple(len(axis) for axis in axes)
    place = template_places(participant, axes)
    inside = np.ones(shape, dtype=bool)
    for i, (low, high) in enumerate(zip(*_BRAIN_MM, strict=True)):
        inside &= (place[..., i] > low) & (place[..., i] < high)
    points = place[inside]
    width = participant.sulcus_place.at(axes)[0][inside]
    lobes = np.exp(participant.pattern.at(axes)[0][inside])
    fluid, tissue = _fluid(participant.diseased, atlas, points, width, lobes)
    cortex = participant.cortex.at(axes)[0][inside]
    changed = np.zeros(shape, dtype=bool)
    if participant.grade:
        is_changed = fluid * tissue[:, 0] > CHANGED  # where it can be: before is >= 0
        before, _ = _fluid(
            participant.healthy,
            atlas,
            points[is_changed],
            width[is_changed],
            lobes[is_changed],
        )
        grown = (fluid[is_changed] - before) * tissue[is_changed, 0]
        is_changed[is_changed] = grown > CHANGED
        changed[inside] = is_changed
    clean = np.zeros(shape, dtype=np.float32)
    clean[inside] = _gray_value(participant, fluid, tissue, cortex)
    if head is not None:
        around = head.at(place.reshape(-1, 3)).reshape(shape)
        around[inside] *= 1 - tissue[:, 0]
        clean += around * np.float32(participant.contrast[2])
    intensity = _scan(participant, clean, axes, air=head is not None)
    return Rendering(intensity=intensity, changed=changed)


def template_places(
    participant: Participant, axes: Axes
) -> Float32[np.ndarray, "x y z 3"]:
    """Say which place of the template each point of the grid shows, atrophy aside."""
    x, y, z = (a - s for a, s in zip(axes, participant.shift_mm, strict=True))
    pose = participant.pose
    bend = np.zeros((3, len(x), len(y), len(z)), dtype=np.float32)
    for lattice in participant.bends:
        bend += lattice.at(axes)
    place = np.empty((len(x), len(y), len(z), 3), dtype=np.float32)
    for i in range(3):
        place[..., i] = (
            pose[i, 0] * x[:, None, None]
            + pose[i, 1] * y[None, :, None]
            + pose[i, 2] * z[None, None, :]
        )
        place[..., i] += bend[i]
    return place


def _fluid(
    loss: Shrinkage,
    atlas: Atlas,
    points: Float32[np.ndarray, "n 3"],
    width: Float32[np.ndarray, " n"],
    lobes: Float32[np.ndarray, " n"],
) -> tuple[Float32[np.ndarray, " n"], Float32[np.ndarray, "n c"]]:
    """Return the share of fluid at each point, and the atlas where it now looks."""
    way = np.zeros_like(atlas.growth[0].values)
    for field, amount_mm in zip(atlas.growth, loss.ventricles_mm, strict=True):
        way += field.values * np.float32(amount_mm)
    growth = replace(atlas.growth[0], values=way)
    moved = points + growth.at(points)
    hollow = np.zeros(len(points), dtype=np.float32)
    for body, lost in zip(anatomy.HIPPOCAMPI, loss.hippocampi, strict=True):
        center = np.array(body.center_mm, dtype=np.float32)
        is_near = np.ones(len(points), dtype=bool)
        for place, middle in zip(points.T, center, strict=True):
            is_near &= np.abs(place - middle) < 2.2 * max(body.radii_mm)
        near = np.flatnonzero(is_near)
        here = points[near]
        out = radius(body, here)
        factor = (1 / (1 - lost) - 1) * np.exp(-((out / 1.3) ** 4))
        now = moved[near] + factor[:, None] * (here - center)
        moved[near] = now
        # Fluid of the temporal horn fills what the hippocampus has left, from above
        # and from the side.
        towards = np.abs(here[:, 0]) - abs(center[0]) + here[:, 2] - center[2]
        left = smoothstep(radius(body, now), 0.9, 1.1) * smoothstep(1 - out, -0.1, 0.1)
        hollow[near] = np.maximum(hollow[near], left * smoothstep(towards, -6, 2))
    tissue = atlas.tissue.at(moved)
    half = loss.sulci_mm + width + loss.lobes_mm * lobes
    sulci = 1 - smoothstep(tissue[:, 3], half - _EDGE_MM, half + _EDGE_MM)
    sulci *= 1 - smoothstep(tissue[:, 2], 0.4, 0.9)  # cortex is lost, not white matter
    return np.maximum(np.maximum(tissue[:, 1], sulci), hollow), tissue


def _gray_value(
    participant: Participant,
    fluid: Float32[np.ndarray, " n"],
    tissue: Float32[np.ndarray, "n c"],
    cortex: Float32[np.ndarray, " n"],
) -> Float32[np.ndarray, " n"]:
    dark, gray, white = participant.contrast
    share, begins = tissue[:, 2], 0.5 + cortex
    # Half as it is (basal ganglia lie between), half sharpened: the template is the
    # mean of many people, and blurred.
    share = (share + smoothstep(share, begins - 0.2, begins + 0.2)) / 2
    solid = gray + (white - gray) * share
    return (tissue[:, 0] * (solid + (dark - solid) * fluid)).astype(np.float32)


def _scan(
    participant: Participant,
    clean: Float32[np.ndarray, "x y z"],
    axes: Axes,
    *,
    air: bool,
) -> Float32[np.ndarray, "x y z"]:
    """Add what the scanner adds: coil sensitivity and noise, with air or without."""
    bias = np.exp(participant.bias.at(axes)[0])
    rng = np.random.default_rng(participant.noise_seed)
    real, imaginary = rng.standard_normal((2, *clean.shape), dtype=np.float32)
    level = np.float32(participant.noise)
    noisy = np.hypot(clean * bias + level * real, level * imaginary)
    if air:
        return noisy
    # Skull-stripped scans are exactly 0 outside, as their tools leave them.
    return np.where(clean > 0.02, noisy, 0).astype(np.float32)
