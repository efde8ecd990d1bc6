"""Class folders: ``ROOT/<class>/**`` and ``ROOT/{train,val,test}/<class>/**``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vit_dementia.data.classes import UNKNOWN, severity
from vit_dementia.data.images import PICTURE_SUFFIXES
from vit_dementia.data.nifti import is_nifti_name
from vit_dementia.data.records import ROLE_OF
from vit_dementia.errors import DataError
from vit_dementia.limits import LIMITS, Limits

# What systems and programs leave behind; names that begin with a dot go too.
_CLUTTER = frozenset({"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "@eadir"})
WRAPPERS = 3
"""single folders around the classes that unpacking may leave"""

_NEEDED = "ROOT/<class>/… or ROOT/{train,test}/<class>/… is needed"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """Pictures below a folder, with what their folders say about them."""

    paths: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # classes that hold no picture
    problems: list[str] = field(default_factory=list)  # pictures that were left out
    notes: list[str] = field(default_factory=list)


def is_clutter(name: str) -> bool:
    """Say whether a system or a program left a file or folder of this name behind.

    >>> is_clutter("__MACOSX"), is_clutter("._scan.png"), is_clutter("scan.png")
    (True, True, False)
    """
    return name.startswith(".") or name.casefold() in _CLUTTER or name.endswith("~")


def list_folders(root: Path, *, limits: Limits = LIMITS) -> Listed:
    """List every picture below class folders, sorted, without opening any.

    Raises:
        DataError: if nothing can be listed: no class folders, no picture, two folders
            for one role, a folder that cannot be opened. Empty classes among others are
            told in ``faults``, for the caller to tell with what else is wrong.
    """
    walk = _Walk(root, limits)
    listed = Listed()
    start = _unwrapped(walk, root, listed.notes)
    roles = _roles(walk, start)
    if roles:
        for role, folder in roles:
            _list_classes(walk, folder, role, listed)
        _note_others(walk, start, [folder for _, folder in roles], listed.notes)
    else:
        _list_classes(walk, start, UNKNOWN, listed)
    if walk.faults or not listed.paths:
        raise DataError.of([*walk.faults, *listed.faults])
    listed.notes.extend(walk.notes())
    return listed


def list_scans(root: Path, *, limits: Limits = LIMITS) -> Listed:
    """List every picture and volume below a folder whose folders are no classes.

    Raises:
        DataError: if there is none, or a folder cannot be opened.
    """
    walk = _Walk(root, limits)
    listed = Listed()
    _list(walk, root, UNKNOWN, UNKNOWN, listed)
    if not listed.paths:
        walk.faults.append(f"{root}: found no picture and no volume; a scan is needed")
    if walk.faults:
        raise DataError.of(walk.faults)
    listed.notes.extend(walk.notes())
    return listed


def is_flat(root: Path, *, limits: Limits = LIMITS) -> bool:
    """Say whether a folder holds scans and no other folder."""
    folders, scans = _Walk(root, limits).entries(root)
    return bool(scans) and not folders


def _unwrapped(walk: _Walk, root: Path, notes: list[str]) -> Path:
    """Step into single folders that an archive has left around the classes."""
    start = root
    for _ in range(WRAPPERS):
        folders, pictures = walk.entries(start)
        if len(folders) != 1 or pictures or _role(folders[0]):
            break
        inside = walk.entries(folders[0])[0]
        told = [f for f in inside if severity(f.name) is not None]
        # Else the single folder is a class and what it holds are its participants.
        if not any(map(_role, inside)) and not (len(told) == len(inside) > 1):
            break
        start = folders[0]
        notes.append(f"the classes were found in {start.name!r}")
    return start


def _roles(walk: _Walk, start: Path) -> list[tuple[str, Path]]:
    """Return the folders that are parts of a split, at most one for each role."""
    folder_of: dict[str, Path] = {}
    for folder in walk.entries(start)[0]:
        role = _role(folder)
        if role in folder_of:
            walk.faults.append(
                f"{start}: both {folder_of[role].name!r} and {folder.name!r} stand for "
                f"{role}; one is needed"
            )
        elif role:
            folder_of[role] = folder
    return list(folder_of.items())


def _role(folder: Path) -> str | None:
    return ROLE_OF.get(folder.name.casefold())


def _list_classes(walk: _Walk, folder: Path, role: str, listed: Listed) -> None:
    """List the pictures of every class folder in ``folder``."""
    classes, outside = walk.entries(folder)
    if not classes:
        walk.faults.append(f"{folder}: found no class folders; {_NEEDED}")
    if outside:
        listed.notes.append(
            f"{len(outside)} pictures directly in {folder.name!r} were ignored: "
            "no class folder is around them"
        )
    for class_folder in classes:
        before = len(listed.paths) + len(listed.problems)
        _list(walk, class_folder, class_folder.name, role, listed)
        if len(listed.paths) + len(listed.problems) == before:
            listed.faults.append(
                f"{class_folder}: the class holds no picture; "
                "PNG, JPEG, TIFF, WebP, BMP or NIfTI files are needed"
            )


def _list(walk: _Walk, folder: Path, label: str, role: str, listed: Listed) -> None:
    """List every scan below one folder."""
    for scan in walk.pictures(folder):
        relative = scan.relative_to(walk.root).as_posix()
        try:
            relative.encode()
        except UnicodeEncodeError:
            shown = relative.encode("utf-8", "backslashreplace").decode()
            listed.problems.append(f"{shown}: its name is not UTF-8; rename it")
            continue
        listed.paths.append(relative)
        listed.labels.append(label)
        listed.splits.append(role)


def _note_others(
    walk: _Walk, start: Path, used: Sequence[Path], notes: list[str]
) -> None:
    others = [f.name for f in walk.entries(start)[0] if f not in used]
    if others:
        names = ", ".join(repr(name) for name in others[:5])
        notes.append(
            f"{len(others)} folders beside train and test were ignored: {names}"
        )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Say whether an entry is a folder; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:  # too many links: reading it will say so
        return False


class _Walk:
    """A walk through folders that ends, and that counts what it passes by.

    Links are followed, but no folder is entered twice, so that loops end.
    """

    def __init__(self, root: Path, limits: Limits) -> None:
        self.root, self.limits = root, limits
        self.faults: list[str] = []
        self._ignored: Counter[str] = Counter()
        self._entries: dict[Path, tuple[list[Path], list[Path]]] = {}
        self._entered: set[tuple[int, int]] = set()
        self._num_met = 0

    def entries(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Return the folders and the pictures directly in ``folder``, sorted."""
        if folder not in self._entries:
            self._entries[folder] = self._read(folder)
        return self._entries[folder]

    def pictures(self, folder: Path, depth: int = 0) -> Iterator[Path]:
        """Yield every picture below ``folder``."""
        if depth > self.limits.depth:
            self.faults.append(f"{folder}: more than {self.limits.depth} folders deep")
            return
        folders, pictures = self.entries(folder)
        yield from pictures
        for inner in sorted(folders, key=Path.is_symlink):  # what is real comes first
            yield from self.pictures(inner, depth + 1)

    def notes(self) -> list[str]:
        """Say how much was passed by, by kind."""
        if not self._ignored:
            return []
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(self._ignored.items()))
        num = self._ignored.total()
        return [f"{num} entries that are not pictures were ignored ({kinds})"]

    def _read(self, folder: Path) -> tuple[list[Path], list[Path]]:
        folders: list[Path] = []
        pictures: list[Path] = []
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in self._entered:
                self._ignored["links to a folder that is read anyway"] += 1
                return [], []
            if status.st_ino:  # Windows may not number its folders
                self._entered.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as found:
                for entry in found:
                    self._sort(entry, folders, pictures)
        except OSError as error:
            self.faults.append(f"{folder}: cannot be opened ({error.strerror})")
        return sorted(folders), sorted(pictures)

    def _sort(
        self, entry: os.DirEntry[str], folders: list[Path], pictures: list[Path]
    ) -> None:
        self._num_met += 1
        if self._num_met > self.limits.entries:
            raise DataError(
                f"{self.root}: holds more than {self.limits.entries} entries; "
                "name the folder that holds the classes"
            )
        name = entry.name
        if is_clutter(name):
            self._ignored["clutter"] += 1
        elif _is_folder(entry):
            folders.append(Path(entry.path))
        elif Path(name).suffix.lower() in PICTURE_SUFFIXES or is_nifti_name(name):
            pictures.append(Path(entry.path))  # whether it opens is seen on reading
        else:
            self._ignored[Path(name).suffix.lower() or "without a suffix"] += 1
