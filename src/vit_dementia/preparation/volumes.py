"""One preparation of whole volumes, saved with the model and replayed at prediction.

A volume is cleared of its scanner's intensity unit, brought to one voxel size and one
number of voxels around its middle, turned as pictures are seen, and stored as 8-bit
values; on the device these become the numbers the network was trained on.

A prepared volume is a pile of axial slices: its planes go from the feet up, the rows of
a plane from the nose back, its columns from the left of the person to the right.

Shapes: ``b`` volumes, ``c`` channels (one), ``x y z`` voxels as read (to the right, to
the front, up), ``d h w`` voxels on the way, ``D H W`` as prepared.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float32, UInt8
from scipy import ndimage

from vit_dementia.data.volumes import Volume
from vit_dementia.errors import ConfigError, ScanError
from vit_dementia.preparation.replay import Facts, read_prepared
from vit_dementia.preparation.slices import BRIGHT_PERCENTILE
from vit_dementia.preparation.stored import Stored

KIND = "volume"  # the value of "input" in preprocessing.json
_SAME = 0.01  # relative difference of voxel sizes that is rounding of a header


@dataclass(frozen=True, kw_only=True)
class VolumePreprocessing(Stored):
    """How a volume becomes the input of one model.

    Attributes:
        size: depth, height and width in voxels given to the network.
        spacing_mm: side of a voxel given to the network.
        prepared: how the training volumes were prepared; None: as they were found.
    """

    kind: ClassVar[str | None] = KIND
    what: ClassVar[str] = KIND
    size: tuple[int, int, int]
    spacing_mm: float
    channels: Literal[1] = 1
    prepared: Facts | None = None

    def __post_init__(self) -> None:
        """Refuse what no volume can be brought to."""
        if self.channels != 1:
            raise ConfigError(
                f"data.channels: found {self.channels}; a volume has 1: the kernels of"
                " loaded weights are summed"
            )
        if not self.spacing_mm > 0:
            raise ConfigError(f"data.spacing_mm: found {self.spacing_mm}; needs > 0")

    @property
    def recipe(self) -> list[Any]:
        """What the 8-bit values depend on beside the file."""
        return [KIND, self.size, self.spacing_mm, self.prepared]

    def read(self, path: Path) -> UInt8[np.ndarray, "c D H W"]:
        """Return the volume of a file, prepared.

        Raises:
            ScanError: if it cannot be read, or holds nothing but one value.
        """
        return self(read_prepared(path, self.prepared))

    def __call__(self, volume: Volume) -> UInt8[np.ndarray, "c D H W"]:
        """Return the volume in 8 bit at the size of the model.

        Raises:
            ScanError: if the volume holds nothing but one value.
        """
        voxels = volume.voxels
        bright = voxels[voxels > 0]
        if bright.size == 0 or voxels.min() == voxels.max():
            raise ScanError("every voxel has the same value; needs a volume of a brain")
        white = np.percentile(bright, BRIGHT_PERCENTILE)
        scaled = np.clip(upright(voxels) / white, 0.0, 1.0)
        zoom = tuple(side / self.spacing_mm for side in volume.spacing_mm[::-1])
        if any(abs(factor - 1) > _SAME for factor in zoom):
            scaled = _resampled(scaled, zoom)
        framed = _framed(scaled, self.size)
        return np.rint(framed * 255.0).astype(np.uint8)[None]


def upright(voxels: Float32[np.ndarray, "x y z"]) -> Float32[np.ndarray, "z y x"]:
    """Return the voxels as a pile of axial slices with the nose up.

    >>> upright(np.arange(8, dtype=np.float32).reshape(2, 2, 2))[0].tolist()
    [[2.0, 6.0], [0.0, 4.0]]
    """
    return voxels.transpose(2, 1, 0)[:, ::-1]


def _resampled(
    voxels: Float32[np.ndarray, "d h w"], zoom: tuple[float, ...]
) -> Float32[np.ndarray, "_ _ _"]:
    """Return the same field of view in voxels of another size, low-passed to shrink."""
    blur = [max(1 / factor - 1, 0) / 2 for factor in zoom]
    smooth = ndimage.gaussian_filter(voxels, blur) if any(blur) else voxels
    resized = ndimage.zoom(smooth, zoom, order=1, mode="grid-constant", grid_mode=True)
    return np.asarray(resized, dtype=np.float32)


def _framed(
    voxels: Float32[np.ndarray, "d h w"], size: tuple[int, int, int]
) -> Float32[np.ndarray, "D H W"]:
    """Return the middle of a volume, with black around it where it is too small.

    >>> _framed(np.ones((1, 1, 3), np.float32), (1, 2, 2)).tolist()
    [[[1.0, 1.0], [0.0, 0.0]]]
    """
    frame = np.zeros(size, dtype=np.float32)
    places = [middle(*sides) for sides in zip(voxels.shape, size, strict=True)]
    frame[tuple(to for to, _ in places)] = voxels[tuple(of for _, of in places)]
    return frame


def middle(have: int, want: int) -> tuple[slice, slice]:
    """Return the places in the frame, and those in the volume, along one axis.

    >>> middle(91, 96)
    (slice(2, 93, None), slice(0, 91, None))
    """
    length = min(have, want)
    before, cut = max(want - have, 0) // 2, max(have - want, 0) // 2
    return slice(before, before + length), slice(cut, cut + length)
