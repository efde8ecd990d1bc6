"""One preparation of some slices of a volume, saved with the model and replayed.

Slices are cut where dementia shows: through the temporal lobes with the hippocampi
and through the lateral ventricles. Places are millimetres from the head's own sides, so
that a registered brain and a scan as the scanner gave it are cut alike; the plane is
resampled to one size of pixels, so that a millimetre is the same in every scan.

A slice is turned as pictures of heads are: nose up, or top up and the nose to the left;
the person's left is on the left.

Shapes: ``b`` slices, ``c`` channels, ``k`` slices of a volume, ``x y z`` voxels to the
right, to the front, up, ``h w`` pixels of a slice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Float32, UInt8

from vit_dementia.config import Plane
from vit_dementia.data.volumes import Volume
from vit_dementia.errors import ConfigError, ScanError
from vit_dementia.preparation.head_box import HeadBox, find_head, sampling
from vit_dementia.preparation.replay import Facts, read_prepared
from vit_dementia.preparation.slices import BRIGHT_PERCENTILE
from vit_dementia.preparation.stored import Stored

KIND = "slab"  # the value of "input" in preprocessing.json

SLAB_MM: Mapping[Plane, tuple[float, float]] = {
    "axial": (48.0, 100.0),  # below the top: ventricles down to the hippocampi
    "coronal": (78.0, 114.0),  # behind the front: hippocampi from head to tail
    "sagittal": (-30.0, 30.0),  # right of the middle: both hippocampi
}
"""Where slices are cut, from the side of the head that a plane is counted from."""

FIELD_MM: Mapping[Plane, tuple[float, float]] = {
    "axial": (224.0, 192.0),
    "coronal": (192.0, 192.0),
    "sagittal": (192.0, 224.0),
}
"""Height and width of a slice that hold a head."""

_MARGIN_MM = 8.0  # above the top of the head


@dataclass(frozen=True, kw_only=True)
class SlabPreprocessing(Stored):
    """How some slices of a volume become the inputs of one model.

    Attributes:
        size: height and width in pixels given to the network.
        spacing_mm: side of a pixel.
        plane: in which slices are cut.
        slab_mm: the first and the last slice: below the top of the head (axial), behind
            its front (coronal), to the right of its middle (sagittal).
        count: slices of each volume, evenly spaced.
        channels: 1 (gray) or 3 (the same three times).
        prepared: how the training volumes were prepared; None: as they were found.
    """

    kind: ClassVar[str | None] = KIND
    what: ClassVar[str] = "slice"
    size: tuple[int, int]
    spacing_mm: float
    plane: Plane
    slab_mm: tuple[float, float]
    count: int
    channels: Literal[1, 3] = 1
    prepared: Facts | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be cut."""
        faults = []
        if self.count < 1:
            faults.append(f"data.slices: found {self.count}; needs 1 or more")
        if not self.spacing_mm > 0:
            faults.append(f"data.spacing_mm: found {self.spacing_mm}; needs > 0")
        if self.slab_mm[0] >= self.slab_mm[1]:
            low, high = self.slab_mm
            faults.append(
                f"data.slab_mm: found {low:g} {high:g}; needs the lower number first"
            )
        if faults:
            raise ConfigError.of(faults)

    @property
    def recipe(self) -> list[Any]:
        """What the 8-bit values depend on beside the file."""
        where = [self.plane, self.slab_mm, self.count]
        return [KIND, self.size, self.spacing_mm, *where, self.prepared]

    def read(self, path: Path) -> UInt8[np.ndarray, "k h w"]:
        """Return the slices of the volume in a file, prepared.

        Raises:
            ScanError: if it cannot be read, or shows no head.
        """
        return self(read_prepared(path, self.prepared))

    def __call__(self, volume: Volume) -> UInt8[np.ndarray, "k h w"]:
        """Return the slices in 8 bit at the size of the model, in order of place.

        Raises:
            ScanError: if the volume shows nothing, or ends before the slab.
        """
        voxels = volume.voxels
        bright = voxels[voxels > 0]
        if bright.size == 0 or voxels.min() == voxels.max():
            raise ScanError("every voxel has the same value; needs a volume of a brain")
        white = np.percentile(bright, BRIGHT_PERCENTILE)
        x, y, z = self._weights(volume, find_head(volume))
        cut = {"axial": z, "coronal": y, "sagittal": x}[self.plane]
        missing = int((cut.sum(axis=1) < 0.5).sum())
        if missing:
            raise ScanError(
                f"ends before {missing} of {self.count} slices of the slab that the "
                "model reads; needs a whole head"
            )
        # The slices are cut first: what follows is then little.
        if self.plane == "axial":
            slices = _applied(cut, voxels, axis=2).transpose(2, 1, 0)
            slices = _applied(x, _applied(y, slices, axis=1), axis=2)
        elif self.plane == "coronal":
            slices = _applied(cut, voxels, axis=1).transpose(1, 2, 0)
            slices = _applied(x, _applied(z, slices, axis=1), axis=2)
        else:
            slices = _applied(cut, voxels, axis=0).transpose(0, 2, 1)
            slices = _applied(y, _applied(z, slices, axis=1), axis=2)
        return np.rint(np.clip(slices / white, 0.0, 1.0) * 255.0).astype(np.uint8)

    def _weights(
        self, volume: Volume, head: HeadBox
    ) -> tuple[Float32[np.ndarray, "_ x"], ...]:
        """Return how voxels along each axis are weighed, the slab's axis included."""
        x, y, z = (
            sampling(
                np.asarray(along, np.float32),
                count=count,
                side_mm=side,
                width_mm=self.spacing_mm,
            )
            for along, count, side in zip(
                self.places(head), volume.voxels.shape, volume.spacing_mm, strict=True
            )
        )
        return x, y, z

    def places(self, head: HeadBox) -> tuple[Float[np.ndarray, " m"], ...]:
        """Return where pixels and slices lie along x, y and z.

        In millimetres from the center of the volume's first voxel.
        """
        low, high = self.slab_mm
        place = np.linspace(low, high, self.count)
        if self.count == 1:
            place = np.array([(low + high) / 2])
        height, width = self.size
        middle = sum(head.left_right) / 2
        across = middle + _centered(width, self.spacing_mm)
        down = head.top + _MARGIN_MM - self.spacing_mm * np.arange(height)
        deep = height if self.plane == "axial" else width
        front_to_back = sum(head.back_front) / 2 - _centered(deep, self.spacing_mm)
        if self.plane == "axial":
            return across, front_to_back, head.top - place
        if self.plane == "coronal":
            return across, head.back_front[1] - place, down
        return middle + place, front_to_back, down


def _centered(count: int, step: float) -> Float[np.ndarray, " m"]:
    """Return evenly spaced places around 0.

    >>> _centered(4, 2.0).tolist()
    [-3.0, -1.0, 1.0, 3.0]
    """
    return step * (np.arange(count) - (count - 1) / 2)


def _applied(
    weights: Float32[np.ndarray, "m n"],
    values: Float32[np.ndarray, "_ _ _"],
    *,
    axis: int,
) -> Float32[np.ndarray, "_ _ _"]:
    """Return the values at the places of weights, along one axis."""
    return np.moveaxis(np.tensordot(weights, values, axes=(1, axis)), 0, axis)
