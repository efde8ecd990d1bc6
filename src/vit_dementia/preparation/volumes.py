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

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Float32, UInt8
from scipy import ndimage

from vit_dementia.data.volumes import Volume
from vit_dementia.errors import CheckpointError, ConfigError, ScanError
from vit_dementia.preparation.replay import Facts, read_prepared
from vit_dementia.preparation.slices import BRIGHT_PERCENTILE

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = Any  # torch is slow to import; the shape is still checked below it

FORMAT_VERSION = 1
KIND = "volume"  # the value of "input" in preprocessing.json
_SAME = 0.01  # relative difference of voxel sizes that is rounding of a header


@dataclass(frozen=True, kw_only=True)
class VolumePreprocessing:
    """How a volume becomes the input of one model.

    Attributes:
        size: depth, height and width in voxels given to the network.
        spacing_mm: side of a voxel given to the network.
        prepared: how the training volumes were prepared; None: as they were found.
        mean: mean over the training volumes, on the scale [0, 1].
        std: standard deviation over the training volumes, on the scale [0, 1].
    """

    what: ClassVar[str] = KIND
    size: tuple[int, int, int]
    spacing_mm: float
    channels: Literal[1] = 1
    prepared: Facts | None = None
    mean: float = 0.0
    std: float = 1.0

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

    def normalize(
        self, batch: UInt8[Tensor, "b c D H W"]
    ) -> Float[Tensor, "b c D H W"]:
        """Return what the network reads, for one batch of prepared volumes."""
        return self.standardize(batch.float() / 255.0)

    def standardize(
        self, batch: Float[Tensor, "b c D H W"]
    ) -> Float[Tensor, "b c D H W"]:
        """Return values in [0, 1] as deviations from the mean, in units of ``std``."""
        return (batch - self.mean) / self.std

    def to_dict(self) -> dict[str, Any]:
        """Return what ``preprocessing.json`` holds."""
        told = {"format": FORMAT_VERSION, "input": KIND, **dataclasses.asdict(self)}
        return told | {"prepared": json.loads(self.prepared or "null")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> VolumePreprocessing:
        """Read back what ``to_dict`` gave.

        Raises:
            CheckpointError: if it is of another format or lacks a value.
        """
        own = {field.name for field in dataclasses.fields(cls)}
        names = own | {"format", "input"}
        if values.get("format") != FORMAT_VERSION or set(values) != names:
            raise CheckpointError(
                f"preprocessing.json: found format {values.get('format')!r} with "
                f"{sorted(values)}; needs format {FORMAT_VERSION} with {sorted(names)}"
            )
        settings = {name: values[name] for name in own}
        if settings["prepared"] is not None:
            settings["prepared"] = json.dumps(settings["prepared"], sort_keys=True)
        return cls(**settings | {"size": tuple(settings["size"])})


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
