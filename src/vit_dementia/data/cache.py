"""Decoded scans kept on this machine: one packed, memory-mapped array a cohort.

The key of an entry is the content of the files and the preparation, so that a changed
file or setting is never met with an old answer. Entries are written beside and renamed;
they hold no names or paths. No step needs memory for more than a few scans.
Shapes: ``n`` scans, ``c`` channels, ``space`` pixels or voxels along each axis.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from jaxtyping import UInt8
from joblib import Parallel, delayed
from numpy.lib.format import open_memmap

from vit_dementia.errors import DataError, ScanError
from vit_dementia.files import fingerprint, read_json, replacing, take_room, write_json
from vit_dementia.limits import carried

_LAYOUT = 3  # of an entry; another one is another key
Prepare = Callable[[Path], UInt8[np.ndarray, "..."]]


@dataclass(frozen=True)
class Packed:
    """The prepared scans of a cohort, in the order of its table.

    Attributes:
        images: memory-mapped; files that could not be read have no row.
        causes: why a file could not be read, by its place in the table.
    """

    images: UInt8[np.ndarray, "n c *space"]
    causes: dict[int, str]


def default_cache() -> Path:
    """Return the user's cache folder for this program."""
    return Path(platformdirs.user_cache_dir("vit-dementia", appauthor=False))


def pack(
    files: Sequence[Path],
    prepare: Prepare,
    *,
    shape: tuple[int, ...],
    recipe: Any,
    cache: Path | None = None,
    advance: Callable[[], object] = lambda: None,
) -> Packed:
    """Decode and prepare every file once, or find the result of doing so earlier.

    Args:
        prepare: reads one file; its ``ScanError`` is kept as the cause for that row.
        shape: channels and sides that ``prepare`` gives.
        recipe: a JSON value that names the preparation; part of the key.
        advance: called once a file, for a progress bar.
    """
    folder = cache or default_cache()
    make_private(folder)
    digests = Parallel(n_jobs=-1, prefer="threads")(
        delayed(_digest)(file) for file in files
    )
    # What is refused under other limits is another answer.
    told = [_LAYOUT, recipe, list(shape), digests, *filter(None, [carried()])]
    key = fingerprint(told)[:32]
    data, facts = folder / f"{key}.npy", folder / f"{key}.json"
    if not facts.exists():
        with replacing(data) as aside:
            images = mapped(aside, np.uint8, (len(files), *shape))
            unread = _fill(files, prepare, images, advance)
            images.flush()
            del images  # Windows renames no file that is mapped
            if 0 < len(unread) < len(files):  # nothing but faults: the caller says no
                _drop_rows(aside, {row for row, _ in unread})
        write_json(facts, {"rows": len(files), "causes": unread})
    causes = dict(read_json(facts)["causes"])
    try:
        images = np.load(data, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{data}: a cache entry cannot be read ({error}); "
            "remove it with: vit-dementia cache clear"
        ) from error
    return Packed(images, causes)


def mapped(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap:
    """Return a new ``.npy`` file as a memory-mapped array, its room on the disk taken.

    Raises:
        OSError: if there is no room for all of it.
    """
    array = open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    take_room(path)
    return array


def _drop_rows(file: Path, dropped: set[int]) -> None:
    """Write the file anew without some of its rows, a row at a time."""
    everything = np.load(file, mmap_mode="r", allow_pickle=False)
    kept = [row for row in range(len(everything)) if row not in dropped]
    with replacing(file) as aside:
        fewer = mapped(aside, np.uint8, (len(kept), *everything.shape[1:]))
        for place, row in enumerate(kept):
            fewer[place] = everything[row]
        fewer.flush()
        del fewer, everything


def _fill(
    files: Sequence[Path],
    prepare: Prepare,
    images: UInt8[np.ndarray, "n c *space"],
    advance: Callable[[], object],
) -> list[tuple[int, str]]:
    """Prepare every file into its row; return the rows that failed and why."""

    def work(row: int) -> tuple[int, str | None]:
        try:
            images[row] = prepare(files[row])
        except ScanError as error:
            return row, str(error).removeprefix(f"{files[row]}: ")  # no path
        return row, None

    done = Parallel(n_jobs=-1, prefer="threads", return_as="generator_unordered")(
        delayed(work)(row) for row in range(len(files))
    )
    causes = []
    for row, cause in done:
        advance()
        if cause is not None:
            causes.append((row, cause))
    return sorted(causes)


def _digest(file: Path) -> str:
    """Return a hash of the content; a file that cannot be opened has its own.

    Of a folder, which is a series of DICOM files, it is one of all of them.
    """
    if file.is_dir():
        inside = sorted(path for path in file.rglob("*") if path.is_file())
        return fingerprint([_digest(path) for path in inside])
    if not file.is_file():  # a pipe would block, a folder has no bytes
        return "not a file"
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable {error.errno}"


def make_private(folder: Path) -> None:
    """Make the folder, open to nobody but the user: it holds people's scans."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


@dataclass(frozen=True)
class CacheEntry:
    """One packed cohort on this machine."""

    key: str
    num_scans: int
    num_bytes: int


def entries(cache: Path | None = None) -> list[CacheEntry]:
    """Return what the cache holds, sorted by key.

    Raises:
        DataError: if an entry is damaged.
    """
    folder = cache or default_cache()
    return [
        CacheEntry(
            facts.stem,
            _num_scans(facts),
            facts.with_suffix(".npy").stat().st_size,
        )
        for facts in sorted(folder.glob("*.json"))
        if facts.with_suffix(".npy").exists()
    ]


def _num_scans(facts: Path) -> int:
    told = read_json(facts)
    rows = told.get("rows") if isinstance(told, dict) else None
    if type(rows) is not int or rows < 0:
        raise DataError(
            f"{facts}: damaged, as its number of scans is {str(rows)[:40]!r}; remove"
            " it, or all entries: vit-dementia cache clear"
        )
    return rows


def clear(cache: Path | None = None) -> int:
    """Remove every entry and leftover part; return the number of bytes freed."""
    folder = cache or default_cache()
    freed = 0
    for pattern in ("*.json", "*.npy", ".*.part"):
        for file in folder.glob(pattern):
            freed += file.stat().st_size
            file.unlink()
    return freed
