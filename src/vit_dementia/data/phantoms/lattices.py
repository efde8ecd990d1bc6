"""Smooth random fields: cubic B-splines over a coarse lattice of random numbers.

The lattice lies in space, not in the image, so that a slice and a whole volume of one
participant show the same field. Letters: ``c`` components; ``x``, ``y``, ``z`` points
along each axis; ``i``, ``j``, ``k`` nodes along each axis; ``n`` points, ``m`` nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

LOWEST_MM = (-110.0, -150.0, -170.0)
HIGHEST_MM = (110.0, 130.0, 120.0)
"""The box that every lattice covers: a whole head with its neck."""

# A cubic B-spline of unit normal numbers has this variance along one axis, on average.
_VARIANCE_OF_ONE_AXIS = 151 / 315

Axes = tuple[Float[np.ndarray, " x"], Float[np.ndarray, " y"], Float[np.ndarray, " z"]]


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """Random numbers on nodes ``spacing_mm`` apart.

    Attributes:
        spacing_mm: distance between nodes; features are about twice as wide.
        nodes: one number a node for each component.
    """

    spacing_mm: float
    nodes: Float32[np.ndarray, "c i j k"]

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        *,
        spacing_mm: float,
        scale: float,
        components: int = 1,
    ) -> Lattice:
        """Draw a field whose standard deviation, over space and people, is ``scale``.

        >>> rng = np.random.default_rng(0)
        >>> field = Lattice.draw(rng, spacing_mm=20.0, scale=2.0, components=3)
        >>> axes = tuple(np.arange(-60.0, 60.0, 4) for _ in range(3))
        >>> values = field.at(axes)
        >>> values.shape, bool(1.5 < values.std() < 2.5)
        ((3, 30, 30, 30), True)
        """
        counts = [
            int(np.ceil((high - low) / spacing_mm)) + 4
            for low, high in zip(LOWEST_MM, HIGHEST_MM, strict=True)
        ]
        nodes = rng.standard_normal((components, *counts), dtype=np.float32)
        nodes *= np.float32(scale / _VARIANCE_OF_ONE_AXIS**1.5)
        return cls(spacing_mm=spacing_mm, nodes=nodes)

    def at(self, axes: Axes) -> Float32[np.ndarray, "c x y z"]:
        """Evaluate the field on the grid that three axes span, in millimetres."""
        weights = [
            spline_weights((axis - low) / self.spacing_mm + 1, count)
            for axis, low, count in zip(
                axes, LOWEST_MM, self.nodes.shape[1:], strict=True
            )
        ]
        # The shortest axis first. Not BLAS: its sums depend on the number of threads.
        field = np.einsum("cijk,zk->cijz", self.nodes, weights[2])
        field = _along(field.swapaxes(0, 1), weights[0])  # x c j z
        field = _along(np.moveaxis(field, 2, 0), weights[1])  # y x c z
        return np.ascontiguousarray(field.transpose(2, 1, 0, 3))


def _along(
    field: Float32[np.ndarray, "m ..."], weights: Float32[np.ndarray, "n m"]
) -> Float32[np.ndarray, "n ..."]:
    """Weigh the nodes along the first axis; each counts at a few points only.

    Args:
        weights: of points in ascending order.
    """
    total = np.zeros((len(weights), *field.shape[1:]), dtype=np.float32)
    for node, weight in zip(field, weights.T, strict=True):
        points = np.flatnonzero(weight)
        if len(points):
            near = slice(points[0], points[-1] + 1)
            total[near] += weight[near].reshape(-1, *(1,) * node.ndim) * node
    return total


def spline_weights(
    position: Float[np.ndarray, " n"], count: int
) -> Float32[np.ndarray, "n m"]:
    """Return the weight of each of ``count`` nodes at positions counted in nodes.

    >>> spline_weights(np.array([2.0]), 5).round(3).tolist()
    [[0.0, 0.16699999570846558, 0.6669999957084656, 0.16699999570846558, 0.0]]
    """
    away = np.abs(position[:, None] - np.arange(count)[None, :])
    near = 2 / 3 - away**2 + away**3 / 2
    far = np.maximum(2 - away, 0) ** 3 / 6
    return np.where(away < 1, near, far).astype(np.float32)
