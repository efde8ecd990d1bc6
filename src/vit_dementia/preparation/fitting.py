"""The preparation that fits a cohort: its commonest size, in whole patches."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from vit_dementia.config import DataConfig, Plane
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.images import probe_size
from vit_dementia.data.volumes import read_volume
from vit_dementia.errors import ConfigError, ScanError
from vit_dementia.preparation.replay import common_facts
from vit_dementia.preparation.slab import FIELD_MM, SLAB_MM, SlabPreprocessing
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.preparation.spec import Preprocessing
from vit_dementia.preparation.volumes import VolumePreprocessing

PLANE: Plane = "coronal"
SLICES = 8  # of a volume: neighbors a few millimetres away show almost the same
SLAB_SPACING_MM = 2.0
_FEW = 32  # volumes are enough to know what they have in common


def preprocessing_for(
    cohort: Cohort, data: DataConfig, *, patch_size: int
) -> Preprocessing:
    """Return the preparation that settings ask for, its sizes taken from the cohort.

    Mean and deviation are still to be measured.

    Raises:
        ConfigError: if the settings contradict one another.
        DataError: if volumes were prepared in several ways.
        ScanError: if volumes are asked for and none can be read.
    """
    if data.input == "slices" and cohort.holds_volumes:
        return _slab_for(cohort, data, patch_size=patch_size)
    if data.input == "slices":
        _refuse_for_pictures(data)
        size = data.image_size or commonest_size(cohort, patch_size=patch_size)
        return SlicePreprocessing(size=size, channels=data.channels, fit=data.fit)
    if data.channels != 1:
        raise ConfigError(
            f"data.channels: found {data.channels}; a volume has 1 (the kernels of "
            "loaded weights are summed); leave it out"
        )
    spacing, volume_size = data.spacing_mm, data.volume_size
    if spacing is None or volume_size is None:
        spacing, common = commonest_grid(
            cohort, patch_size=patch_size, spacing_mm=spacing
        )
        volume_size = volume_size or common
    return VolumePreprocessing(
        size=volume_size,
        spacing_mm=spacing,
        prepared=common_facts(cohort.files()),
    )


def _slab_for(
    cohort: Cohort, data: DataConfig, *, patch_size: int
) -> SlabPreprocessing:
    """Return how slices are cut from volumes, sizes in whole patches."""
    if data.fit != "pad":
        raise ConfigError(
            f"data.fit: found {data.fit}; slices of volumes are cut in millimetres and "
            "never stretched; leave it out"
        )
    plane, spacing = data.plane or PLANE, data.spacing_mm or SLAB_SPACING_MM
    height, width = (
        _rounded_up(round(side / spacing), patch_size) for side in FIELD_MM[plane]
    )
    return SlabPreprocessing(
        size=data.image_size or (height, width),
        spacing_mm=spacing,
        plane=plane,
        slab_mm=data.slab_mm or SLAB_MM[plane],
        count=data.slices or SLICES,
        channels=data.channels,
        prepared=common_facts(cohort.files()),
    )


def _refuse_for_pictures(data: DataConfig) -> None:
    """Refuse settings that only volumes can follow.

    Raises:
        ConfigError: naming each of them.
    """
    names = ("plane", "slab_mm", "slices", "spacing_mm", "volume_size")
    given = [name for name in names if getattr(data, name) is not None]
    if given:
        raise ConfigError.of(
            f"data.{name}: found {getattr(data, name)!r}; the scans are pictures, and "
            "only volumes can be cut; leave it out"
            for name in given
        )


def commonest_size(cohort: Cohort, *, patch_size: int) -> tuple[int, int]:
    """Return the commonest height and width, rounded up to whole patches.

    Files whose header cannot be read do not count; they are listed when packed.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    for file in cohort.files():
        try:
            sizes[probe_size(file)] += 1
        except ScanError:
            continue  # pack_scans tells of it, with all others
    if not sizes:
        return (patch_size, patch_size)
    # Of equally common sizes the larger one, so that file order does not decide.
    height, width = max(sizes, key=lambda size: (sizes[size], size))
    return (_rounded_up(height, patch_size), _rounded_up(width, patch_size))


def commonest_grid(
    cohort: Cohort, *, patch_size: int, spacing_mm: float | None = None
) -> tuple[float, tuple[int, int, int]]:
    """Return the side of a voxel, and depth, height and width in whole patches.

    The voxel is a cube whose side is the middle one of the commonest voxel. A few
    volumes, evenly spread over the cohort, are looked at.

    Args:
        cohort: of volumes.
        patch_size: side of a patch in voxels.
        spacing_mm: the side, if it is given.

    Raises:
        ScanError: if none of them can be read.
    """
    files = cohort.files()
    shapes: Counter[tuple[float, tuple[int, ...]]] = Counter()
    first: ScanError | None = None
    for file in files[:: -(-len(files) // _FEW)]:
        try:
            shapes[_grid_of(file, spacing_mm)] += 1
        except ScanError as error:
            first = first or error  # pack_scans tells of it, with all others
    if not shapes:
        raise first or ScanError(f"{cohort.root}: holds no volume")
    spacing, sides = max(shapes, key=lambda one: (shapes[one], one))
    depth, height, width = sides
    return spacing, (
        _rounded_up(depth, patch_size),
        _rounded_up(height, patch_size),
        _rounded_up(width, patch_size),
    )


def _grid_of(file: Path, spacing_mm: float | None) -> tuple[float, tuple[int, ...]]:
    volume = read_volume(file)
    sides = volume.spacing_mm
    spacing = spacing_mm or round(sorted(sides)[1], 2)
    field = zip(volume.voxels.shape[::-1], sides[::-1], strict=True)
    return spacing, tuple(round(count * side / spacing) for count, side in field)


def _rounded_up(side: int, patch_size: int) -> int:
    return -(-side // patch_size) * patch_size
