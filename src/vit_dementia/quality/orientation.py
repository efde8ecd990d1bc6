"""Which way a head lies, when not the way its affine says.

Every order of the axes and every reversal is compared with the template, at 6 mm. The
template is symmetric, so that left cannot be told from right: a mirror is not found.
"""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

Cube = Float32[np.ndarray, "s s s"]
Map = Float32[np.ndarray, "x y z"]

_STEP = 3  # voxels of 2 mm
_SIDE = 48  # voxels of the cube; a head in any order of its axes fits
_LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))


def best_axes(voxels: Map, template: Map) -> tuple[str, float, float]:
    """Return how the axes lie in truth, the likeness then, and the likeness as it is.

    Args:
        voxels: on the template's grid, of 2 mm.
        template: intensities on the same grid.

    >>> blob = np.zeros((30, 40, 30), np.float32)
    >>> blob[10:20, 4:34, 8:20] = 1
    >>> blob[12:18, 28:34, 18:24] = 2
    >>> best_axes(blob, blob)[0], best_axes(blob[:, :, ::-1], blob)[0]
    ('RAS', 'RAI')
    """
    there, here = _cube(template), _cube(voxels)
    found = dict[str, float]()
    for axes in permutations(range(3)):
        for back, up in product((1, -1), repeat=2):
            turned = here.transpose(axes)[:, ::back, ::up]
            found[_letters(axes, (1, back, up))] = _alike(_centered(turned), there)
    best = max(found, key=found.__getitem__)
    return best, found[best], found["RAS"]


def _letters(axes: tuple[int, ...], signs: tuple[int, ...]) -> str:
    """Name what the axes of the file show, when the template's are R, A and S.

    >>> _letters((0, 2, 1), (1, 1, -1))
    'RIA'
    """
    told = dict[int, str]()
    for place, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        told[axis] = _LETTERS[place][sign < 0]
    return "".join(told[axis] for axis in range(3))


def _cube(voxels: Map) -> Cube:
    """Return the volume at 6 mm in the middle of a cube."""
    blurred = ndimage.gaussian_filter(voxels, _STEP / 2)[::_STEP, ::_STEP, ::_STEP]
    cube = np.zeros((_SIDE,) * 3, dtype=np.float32)
    room = tuple(slice(0, min(n, _SIDE)) for n in blurred.shape)
    cube[room] = blurred[room]
    return _centered(cube)


def _centered(cube: Cube) -> Cube:
    """Return the cube rolled so that what is in it lies in its middle."""
    if cube.max() <= 0:
        return cube
    middle = np.array(ndimage.center_of_mass(np.clip(cube, 0, None)))
    way = np.rint((np.array(cube.shape) - 1) / 2 - middle).astype(int)
    return np.roll(cube, tuple(way.tolist()), axis=(0, 1, 2))


def _alike(one: Cube, other: Cube) -> float:
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
