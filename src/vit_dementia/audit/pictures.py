"""Every scan of a cohort looked at once: thumbnails, digests and facts.

Shapes: n readable scans, v further planes, t side of a thumbnail, h rows, w columns.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32, UInt8
from PIL import Image
from scipy import ndimage

from vit_dementia.audit.headers import Header, read_header
from vit_dementia.audit.outline import head_mask, outline_of
from vit_dementia.audit.volumes import further_planes
from vit_dementia.data.assembly import is_volume
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.volumes import read_volume
from vit_dementia.errors import DataError, ScanError
from vit_dementia.limits import Number, carried, carry
from vit_dementia.preparation.glance import glance
from vit_dementia.progress import Quiet, Watch

SIDE = 96
_BATCH = 64  # files read by one call to another process
_FEW = 400  # below this many files other processes start later than we finish
_MOST_IN_MEMORY = 2**28  # bytes of thumbnails; more lie in a file without a name
_BORDER = 0.01  # width of the border as a share of the shorter side
_NEAR = 5  # pixels of a thumbnail: grooves of the cortex open to the outside
_FRAME = 4  # pixels of a thumbnail that may belong to a border
_BRIGHT = 75  # percentile of the head: above it lies tissue, never fluid


@dataclass(frozen=True)
class Problem:
    """One file that cannot be used, or that should be looked at.

    Attributes:
        path: as in the cohort's table.
        kind: ``unreadable``, or one of those that ``inventory`` names.
        detail: what is wrong, without the path.
    """

    path: str
    kind: str
    detail: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """What one look at every readable scan gave, row by row.

    Attributes:
        cohort: the readable scans; row i of everything below is its row i.
        thumbnails: see `thumbnail`.
        planes: of volumes two more slices, coronal and sagittal, as thumbnails; None of
            pictures.
        digests: a hash of each scan's pixels, the same for two files that show the
            same in another format, name or folder.
        facts: one row a scan. Of the file: ``bytes, format, mode, bits, jpeg_quality``
            (NaN if not JPEG), ``height, width``. Of the pixels, where 1 is the file's
            white: ``border_mean`` (the outermost pixels), ``background_level`` (the
            mean well outside the head; NaN if it fills the picture),
            ``mean_intensity`` (the mean of the brightest quarter of the head: tissue,
            so that lost tissue does not darken it). Of the outline: ``head_area,
            head_height, head_width, head_row, head_column, head_roundness``.
        problems: files that could not be read, those that the cohort knew included.
    """

    cohort: Cohort
    thumbnails: UInt8[np.ndarray, "n t t"]
    digests: tuple[str, ...]
    facts: pd.DataFrame
    problems: tuple[Problem, ...]
    planes: UInt8[np.ndarray, "n v t t"] | None = None

    def __len__(self) -> int:
        return len(self.digests)


@dataclass(frozen=True)
class _Seen:
    """One readable file."""

    thumbnail: UInt8[np.ndarray, "t t"]
    digest: str
    facts: dict[str, object]
    planes: UInt8[np.ndarray, "v t t"] | None


def look_at(cohort: Cohort, *, jobs: int = -1, watch: Watch | None = None) -> Pictures:
    """Decode every scan once, in several processes; the memory is bounded.

    Args:
        cohort: what to look at.
        jobs: processes; -1 is one for each core.
        watch: told how far it is.

    Raises:
        DataError: if no scan can be read.
    """
    paths = [str(path) for path in cohort.table["path"]]
    # Whole, because processes kept from earlier work may stand in another folder.
    files = [file.absolute() for file in cohort.files()]
    thumbnails = _room_for(len(files))
    digests, facts, kept = list[str](), list[dict[str, object]](), list[int]()
    planes = list[UInt8[np.ndarray, "v t t"]]()
    problems = [_known(line) for line in cohort.problems]
    with (watch or Quiet()).count("looking at scans", len(files)) as bar:
        for row, seen in enumerate(_each(files, jobs)):
            bar.advance()
            if isinstance(seen, str):
                problems.append(_unreadable(paths[row], files[row], seen))
                continue
            thumbnails[len(kept)] = seen.thumbnail
            digests.append(seen.digest)
            facts.append(seen.facts)
            if seen.planes is not None:
                planes.append(seen.planes)
            kept.append(row)
    if not kept:
        raise DataError.of(
            [
                f"{cohort.root}: none of {len(files)} scans can be read",
                *(f"{problem.path}: {problem.detail}" for problem in problems),
            ]
        )
    return Pictures(
        cohort=cohort if len(kept) == len(files) else cohort.select(kept),
        thumbnails=thumbnails[: len(kept)],
        digests=tuple(digests),
        facts=pd.DataFrame(facts),
        problems=tuple(problems),
        planes=np.stack(planes) if planes else None,
    )


def thumbnail(
    image: Float32[np.ndarray, "h w"], *, white: float, side: int = SIDE
) -> UInt8[np.ndarray, "t t"]:
    """Return the whole picture in a black square, its proportions kept.

    The longer side fills the square, the shorter one is centered; each pixel is the
    mean over the area that it covers, from 0 (black) to 255 (the file's white).

    >>> thumbnail(np.full((2, 4), 9, np.float32), white=9.0, side=4)
    array([[  0,   0,   0,   0],
           [255, 255, 255, 255],
           [255, 255, 255, 255],
           [  0,   0,   0,   0]], dtype=uint8)
    """
    rows, columns = image.shape
    zoom = side / max(rows, columns)
    rows, columns = max(1, round(rows * zoom)), max(1, round(columns * zoom))
    resized = Image.fromarray(image).resize((columns, rows), Image.Resampling.BOX)
    square = np.zeros((side, side), dtype=np.uint8)
    top, left = (side - rows) // 2, (side - columns) // 2
    gray = np.clip(np.asarray(resized) * np.float32(255 / white), 0, 255)
    square[top : top + rows, left : left + columns] = np.rint(gray)
    return square


def digest(image: Float32[np.ndarray, "h w"]) -> str:
    """Return a hash of the pixels and of the shape.

    >>> wide, tall = np.zeros((1, 2), np.float32), np.zeros((2, 1), np.float32)
    >>> digest(wide) == digest(wide.copy()), digest(wide) == digest(tall)
    (True, False)
    """
    seen = hashlib.sha256(repr(image.shape).encode())
    seen.update(np.ascontiguousarray(image).tobytes())
    return seen.hexdigest()


def _room_for(count: int) -> UInt8[np.ndarray, "n t t"]:
    shape = (count, SIDE, SIDE)
    if count * SIDE**2 <= _MOST_IN_MEMORY:
        return np.zeros(shape, dtype=np.uint8)
    with tempfile.TemporaryFile(prefix="vit-dementia-") as file:
        return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)


def _each(files: Sequence[Path], jobs: int) -> Iterator[_Seen | str]:
    """Yield what was seen of each file, in order, or why it could not be read."""
    if jobs == 1 or len(files) < _FEW:
        yield from map(_look, files)
        return
    from joblib import Parallel, delayed

    batches = (files[at : at + _BATCH] for at in range(0, len(files), _BATCH))
    parallel = Parallel(n_jobs=jobs, return_as="generator", pre_dispatch="2*n_jobs")
    limits = carried()
    for seen in parallel(delayed(_look_at_batch)(batch, limits) for batch in batches):
        yield from seen


def _look_at_batch(
    files: Sequence[Path], limits: Mapping[str, Number]
) -> list[_Seen | str]:
    carry(limits)  # the process may have begun under others
    return [_look(file) for file in files]


def _look(file: Path) -> _Seen | str:
    try:
        image = glance(file)
        planes = _planes(file) if is_volume(file.name) else None
    except ScanError as error:
        return str(error)
    header = read_header(file)
    white = _white(image, header)
    small = thumbnail(image, white=white)
    return _Seen(small, digest(image), _facts(image / white, small, header), planes)


def _planes(file: Path) -> UInt8[np.ndarray, "v t t"]:
    """Return thumbnails of the further planes of a volume."""
    cuts = further_planes(read_volume(file))
    return np.stack([thumbnail(cut.astype(np.float32), white=255.0) for cut in cuts])


def _white(image: Float32[np.ndarray, "h w"], header: Header) -> float:
    """Return the value that is white; deep files never use their whole range."""
    if header.bits <= 8:
        return 255.0
    brightest = float(image.max())
    return brightest if brightest > 0 else 1.0


def _facts(
    image: Float32[np.ndarray, "h w"],
    small: UInt8[np.ndarray, "t t"],
    header: Header,
) -> dict[str, object]:
    height, width = image.shape
    mask = head_mask(small)
    head = small[mask]
    bright = head[head >= np.percentile(head, _BRIGHT)] if head.size else small
    rows, columns = content(height, width)
    near = ndimage.binary_dilation(mask, iterations=_NEAR)
    around = ~near[rows, columns]
    frame = np.ones_like(around)  # the border speaks for itself
    frame[_FRAME:-_FRAME, _FRAME:-_FRAME] = False
    around &= ~frame
    outside = small[rows, columns][around]
    outline = asdict(outline_of(mask))
    return {
        **asdict(header),
        "height": height,
        "width": width,
        "border_mean": _border_mean(image),
        "background_level": float(outside.mean()) / 255 if outside.size else np.nan,
        "mean_intensity": float(bright.mean()) / 255,
        **{f"head_{name}": value for name, value in outline.items()},
    }


def content(height: int, width: int) -> tuple[slice, slice]:
    """Return the part of the thumbnail that the picture fills.

    >>> content(200, 100)
    (slice(0, 96, None), slice(24, 72, None))
    """
    zoom = SIDE / max(height, width)
    rows, columns = max(1, round(height * zoom)), max(1, round(width * zoom))
    top, left = (SIDE - rows) // 2, (SIDE - columns) // 2
    return slice(top, top + rows), slice(left, left + columns)


def _border_mean(image: Float32[np.ndarray, "h w"]) -> float:
    thick = max(1, round(_BORDER * min(image.shape)))
    inside = image[thick:-thick, thick:-thick]
    around = image.size - inside.size
    return float(image.sum(dtype=np.float64) - inside.sum(dtype=np.float64)) / around


def _known(line: str) -> Problem:
    """Turn a line of a cohort's problems into a problem."""
    path, _, detail = line.partition(": ")
    return Problem(path, "unreadable", detail or line)


def _unreadable(path: str, file: Path, cause: str) -> Problem:
    return Problem(path, "unreadable", cause.removeprefix(f"{file}: "))
