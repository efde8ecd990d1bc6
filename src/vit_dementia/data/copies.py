"""Files that are byte for byte the same."""

from __future__ import annotations

import hashlib
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from vit_dementia.files import sha256_of

_SAMPLE = 4096  # bytes, from the middle: headers and edges of images are often alike


def same_bytes(files: Sequence[Path]) -> list[list[int]]:
    """Return the groups of indices whose files hold the same bytes, in order.

    Only files of equal size are opened, and only those with equal middles are read
    whole. Empty, missing and unreadable files are in no group.
    """
    groups = [list(range(len(files)))]
    for trait_of in (_size, _middle, sha256_of):
        groups = [
            alike
            for group in groups
            for alike in _alike(((i, files[i]) for i in group), trait_of)
        ]
    return sorted(groups)


def _alike(
    files: Iterable[tuple[int, Path]], trait_of: Callable[[Path], str]
) -> list[list[int]]:
    """Group files by a trait; files without company or trait are dropped."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, file in files:
        try:
            trait = trait_of(file)
        except (OSError, ValueError):  # reading the image will say what is wrong
            continue
        if trait:
            groups[trait].append(index)
    return [group for group in groups.values() if len(group) > 1]


def _size(file: Path) -> str:
    status = file.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        return ""
    return str(status.st_size)


def _middle(file: Path) -> str:
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, (size - _SAMPLE) // 2))
        return hashlib.sha256(stream.read(_SAMPLE)).hexdigest()
