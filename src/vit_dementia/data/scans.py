"""The scans that a person means when naming files and folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vit_dementia.data.images import PICTURE_SUFFIXES
from vit_dementia.errors import DataError


def scans_in(paths: Iterable[Path]) -> list[Path]:
    """Return named files as they are, and the pictures inside named folders, sorted.

    Raises:
        DataError: with every name that is not there or holds no picture.
    """
    found: list[Path] = []
    faults = []
    for path in paths:
        if path.is_dir():
            inside = sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in PICTURE_SUFFIXES and not file.is_dir()
            )
            if not inside:
                faults.append(f"{path}: holds no picture; needs PNG, JPEG, TIFF …")
            found += inside
        elif path.exists() or path.is_symlink():
            found.append(path)
        else:
            faults.append(f"{path}: is not there; needs a scan or a folder of scans")
    if not faults and not found:
        faults.append("predict: found no scans; needs files or folders")
    if faults:
        raise DataError(*faults)
    return found
