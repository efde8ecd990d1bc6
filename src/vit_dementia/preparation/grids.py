"""Where voxels lie: grids along the axes of a space, and what a volume shows on them.

Letters: ``x y z`` voxels of a scan or of a grid, to the right, to the front, up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from scipy import ndimage

from vit_dementia.data.volumes import Volume

Affine = Float[np.ndarray, "4 4"]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Voxels of one size along right, anterior and superior.

    Attributes:
        shape: number of voxels.
        origin_mm: place of the first voxel's middle.
        spacing_mm: side of a voxel.
    """

    shape: tuple[int, int, int]
    origin_mm: tuple[float, float, float]
    spacing_mm: float = 1.0

    @property
    def affine(self) -> Affine:
        """Return the affine from voxel indices to millimetres.

        >>> grid = Grid(shape=(2, 2, 2), origin_mm=(-1.0, 0.0, 3.0), spacing_mm=2.0)
        >>> grid.affine[:3].tolist()
        [[2.0, 0.0, 0.0, -1.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 3.0]]
        """
        affine = np.diag([self.spacing_mm] * 3 + [1.0])
        affine[:3, 3] = self.origin_mm
        return affine

    def at(self, spacing_mm: float) -> Grid:
        """Return a grid over the same box in voxels of another size.

        >>> CROP.at(2.0)
        Grid(shape=(85, 104, 90), origin_mm=(-83.5, -118.5, -77.5), spacing_mm=2.0)
        """
        extent = [count * self.spacing_mm for count in self.shape]
        # Halves up: round() takes them to the even neighbor.
        x, y, z = (int(side / spacing_mm + 0.5) for side in extent)
        a, b, c = (o + (spacing_mm - self.spacing_mm) / 2 for o in self.origin_mm)
        return Grid(shape=(x, y, z), origin_mm=(a, b, c), spacing_mm=spacing_mm)


CROP = Grid(shape=(169, 208, 179), origin_mm=(-84.0, -119.0, -78.0))
"""The grid that Clinica's ``t1-linear`` crops to."""


def box_around(volume: Volume, spacing_mm: float, margin_mm: float = 0.0) -> Grid:
    """Return a grid that covers a volume, however its axes are tilted.

    >>> volume = Volume(np.zeros((2, 3, 4), np.float32), np.eye(4))
    >>> box_around(volume, 1.0)
    Grid(shape=(2, 3, 4), origin_mm=(0.0, 0.0, 0.0), spacing_mm=1.0)
    """
    last = np.array(volume.voxels.shape) - 1
    corners = np.array(list(np.ndindex(2, 2, 2))) * last
    places = corners @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    low, high = places.min(axis=0) - margin_mm, places.max(axis=0) + margin_mm
    x, y, z = np.ceil((high - low) / spacing_mm - 1e-6).astype(int).tolist()
    a, b, c = low.tolist()
    return Grid(shape=(x + 1, y + 1, z + 1), origin_mm=(a, b, c), spacing_mm=spacing_mm)


def shown_on(
    grid: Grid, volume: Volume, scan_of_grid: Affine | None = None
) -> Float32[np.ndarray, "x y z"]:
    """Return what a volume shows at each voxel of a grid; 0 where it shows nothing.

    Between voxels it is interpolated linearly, as Clinica does. A grid coarser than the
    volume sees it low-passed.

    Args:
        grid: the voxels to fill.
        volume: what is shown.
        scan_of_grid: from the millimetres of the grid's space to those of the volume
            [default: they are the same].
    """
    placed = grid.affine if scan_of_grid is None else scan_of_grid @ grid.affine
    return sampled(volume, grid.shape, placed)


def sampled(
    volume: Volume, shape: tuple[int, ...], affine: Affine
) -> Float32[np.ndarray, "x y z"]:
    """Return what a volume shows at voxels that an affine leads to its millimetres.

    >>> volume = Volume(np.arange(27, dtype=np.float32).reshape(3, 3, 3), np.eye(4))
    >>> sampled(volume, (2, 1, 1), np.diag([1.0, 1, 1, 1])).ravel().tolist()
    [0.0, 9.0]
    """
    way = np.linalg.inv(volume.affine) @ affine
    step = np.linalg.norm(way[:3, :3], axis=1)  # voxels of the scan per voxel, by axis
    blur = np.maximum(step - 1, 0) / 2
    voxels = volume.voxels
    if (blur > 0.01).any():
        voxels = ndimage.gaussian_filter(voxels, blur, mode="nearest")
    return ndimage.affine_transform(
        voxels, way[:3, :3], way[:3, 3], output_shape=shape, order=1
    ).astype(np.float32, copy=False)
