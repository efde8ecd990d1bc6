"""What one input may cost at most: the only home of such numbers.

A limit is checked before anything is decoded or unpacked, so that a small file which
claims to be huge is refused in milliseconds and not after it has filled the memory;
what cannot be known before is stopped when its time is over.

``LIMITS`` hold in this process and, by its environment, in those that it starts. Every
verb takes them as ``--limits.NAME NUMBER``; a program sets them by ``changed``.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from math import isfinite

from vit_dementia.errors import ConfigError

MIB = 1024**2
Number = int | float
_CARRIER = "VIT_DEMENTIA_LIMITS_CHANGED"  # to the processes that this one starts


@dataclass(kw_only=True)
class Limits:
    """The largest input of each kind that is read.

    >>> Limits(pixels=100).pixels
    100
    """

    image_bytes: int = 256 * MIB
    """one picture on disk"""
    pixels: int = 40_000_000
    """of one picture; 6000 x 6000 still fits"""
    passes: int = 400_000_000
    """pixels of one JPEG picture times its scans; progressive ones have about ten"""
    segments: int = 100_000
    """parts of one JPEG or PNG file"""
    sides: float = 4.0
    """longer to shorter side of one picture; slices have 1 to 1.5"""
    volume_bytes: int = 1024 * MIB
    """one volume on disk, and unpacked"""
    voxels: int = 512**3
    """of one volume; as floats half a gibibyte"""
    least_side: int = 8
    """voxels along the shortest axis of a volume; what is smaller is no head"""
    least_spacing_mm: float = 0.05
    """side of a voxel; what is smaller has another unit"""
    most_spacing_mm: float = 50.0
    """side of a voxel; what is larger has another unit"""
    most_value: float = 1e18
    """of one voxel; the square of what is larger is no number any more"""
    offset_bytes: int = 16 * MIB
    """between the header of a NIfTI file and its voxels"""
    trailing_bytes: int = MIB
    """after the voxels of a file"""
    frames: int = 4096
    """of one DICOM file"""
    few_bytes: int = 4 * MIB
    """may come of however few deflated ones: an empty slice of 1024 x 1024"""
    decoding_seconds: float = 120.0
    """to read and decode one scan"""
    converter_seconds: float = 300.0
    """that dcm2niix may take for one series"""
    unreadable: float = 0.05
    """share of scans that may be left out of a cohort; more stops the work"""
    table_bytes: int = 256 * MIB
    """one CSV or TSV"""
    cell_characters: int = 10_000
    """one field of a table"""
    entries: int = 2_000_000
    """met while walking a folder"""
    depth: int = 32
    """folders inside one another"""
    looked_at: int = 200
    """files, before a folder counts as one without DICOM"""
    download_bytes: int = 16 * 1024 * MIB
    """one file from the network"""
    template_bytes: int = 256 * MIB
    """one template from the network; Clinica's has 72 MB"""
    silent_seconds: float = 60.0
    """without a byte from the network, after which a connection counts as dead"""
    members: int = 200_000
    """files in one archive"""
    unpacked_bytes: int = 32 * 1024 * MIB
    """one archive, unpacked"""
    ratio: int = 200
    """unpacked to packed size of one archive (deflate's worst: 1032)"""
    weight_bytes: int = 64 * 1024 * MIB
    """one file of weights"""
    weight_ratio: int = 10
    """tensors to their file; trained numbers hardly compress"""
    weight_members: int = 20_000
    """tensors in one file; the largest have hundreds"""
    settings_bytes: int = 16 * MIB
    """one file of settings, one history"""
    json_bytes: int = 256 * MIB
    """one JSON document"""
    class_characters: int = 200
    """the name of one class"""


@dataclass(frozen=True, kw_only=True)
class ServingLimits:
    """The largest request of each kind that ``serve`` takes.

    >>> ServingLimits(upload_mib=2).upload_bytes
    2097152
    """

    upload_mib: int = 512
    """size of one request"""
    files: int = 2_000
    """files in one request, or in one archive: a DICOM series has one for each slice"""
    unpacked_mib: int = 2_048
    """size of one archive, unpacked"""
    places: int = 32
    """requests that are received, waiting or answered at once; others get 503"""
    upload_seconds: float = 120.0
    """time to receive one request"""
    seconds: float = 300.0
    """time to answer one request, once it is begun"""
    memory_mib: int = 16_384
    """address space of the process that reads scans, where it computes on the CPU"""

    @property
    def upload_bytes(self) -> int:
        """Return the size of one request."""
        return self.upload_mib * MIB

    @property
    def archive(self) -> Limits:
        """Return what one archive may be."""
        most = self.unpacked_mib * MIB
        return replace(LIMITS, members=self.files, unpacked_bytes=most)


LIMITS = Limits(**json.loads(os.environ.get(_CARRIER, "{}")))


def limits_in(tokens: Sequence[str]) -> tuple[list[str], dict[str, Number]]:
    """Part the flags of a command line that set limits from its other tokens.

    Those that are ``serve``'s alone stay.

    >>> limits_in(["check", "--limits.pixels=100", "a", "--limits.depth", "3"])
    (['check', 'a'], {'pixels': 100, 'depth': 3})

    Raises:
        ConfigError: with every flag that is no limit, or has no number above 0.
    """
    left: list[str] = []
    found: dict[str, Number] = {}
    faults: list[str] = []
    rest = iter(tokens)
    of_serve = {field.name for field in fields(ServingLimits)}
    own = of_serve if tokens[:1] == ["serve"] else set()
    for word in rest:
        if word == "--":  # what follows is no flag
            left += [word, *rest]
            break
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--limits.").replace("-", "_")
        if not flag.startswith("--limits.") or name in own:
            left.append(word)
            continue
        try:
            found[name] = _number(flag, name, value if equals else next(rest, ""))
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError.of(faults)
    return left, found


def _number(flag: str, name: str, text: str) -> Number:
    defaults = asdict(Limits())
    if name not in defaults:
        near = difflib.get_close_matches(name, defaults, 1, cutoff=0)[0]
        near = near.replace("_", "-")
        raise ConfigError(f"{flag}: is no limit; did you mean --limits.{near}?")
    kind = type(defaults[name])
    try:
        number: Number = kind(text)
    except ValueError:
        number = 0
    if not (number > 0 and isfinite(number)):
        needed = "a whole number" if kind is int else "a number"
        raise ConfigError(f"{flag}: found {text[:40]!r}; needs {needed} above 0")
    return number


@contextmanager
def changed(limits: Mapping[str, Number]) -> Iterator[None]:
    """Hold this process, and those it starts, to other limits for a while.

    >>> with changed({"pixels": 100}):
    ...     LIMITS.pixels
    100
    """
    before, outer = asdict(LIMITS), os.environ.get(_CARRIER)
    if limits:
        os.environ[_CARRIER] = json.dumps(carried() | dict(limits))
    try:
        _set(limits)
        yield
    finally:
        _set(before)
        if outer is not None:
            os.environ[_CARRIER] = outer
        else:
            os.environ.pop(_CARRIER, None)


def carried() -> dict[str, Number]:
    """Return the limits that differ from the defaults: for a worker, or for a key."""
    defaults = asdict(Limits())
    return {n: v for n, v in asdict(LIMITS).items() if v != defaults[n]}


def carry(limits: Mapping[str, Number]) -> None:
    """Hold this process to limits that another one has told it, for good."""
    _set(asdict(Limits()) | dict(limits))
    os.environ[_CARRIER] = json.dumps(dict(limits))


def _set(limits: Mapping[str, Number]) -> None:
    # Default arguments of every reader refer to this one object.
    for name, value in limits.items():
        setattr(LIMITS, name, value)
