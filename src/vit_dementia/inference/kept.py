"""What was already read of many scans, so that a stopped prediction goes on.

One line of JSON for each batch of scans, added as soon as it is through; the first line
names the model. No path stands in it: a scan is told by the hash of its path, and a
refusal that names other files than the scan itself is not kept. A line that a crash cut
short is dropped, and its batch read again; so is a scan that has changed since. The
numbers are those that the networks gave, to the last bit: whatever is made of them is
made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vit_dementia.data.named import AS_NAMED, Places
from vit_dementia.errors import DataError
from vit_dementia.files import parse_json, write_text

FORMAT = 4
NAME = "answered.jsonl"


@dataclass(frozen=True)
class Said:
    """What came of one scan.

    Attributes:
        logits: for each model that answers, of each row that it reads of the scan.
        misfits: why it is answered without confidence.
        quality: what quality control warns of; None: it was not asked.
        distance: from the scans of the training, of 1; None: nobody knows.
        refused: why there is no answer; empty if there is one.
        unread: it was refused because it cannot be read.
    """

    logits: tuple[tuple[tuple[float, ...], ...], ...] = ()
    misfits: tuple[str, ...] = ()
    quality: tuple[str, ...] | None = None
    distance: float | None = None
    refused: str = ""
    unread: bool = False


class Kept:
    """The lines of a folder, and further ones.

    Args:
        folder: may be new.
        model: names what answers, the runtime included; lines of another are removed.
        places: where scans lie that are named by their place in an archive, which
            changes as the archive does.
    """

    def __init__(
        self,
        folder: Path,
        model: str,
        places: Places = AS_NAMED,
    ) -> None:
        self._places = places
        self._path = folder / NAME
        self._head = json.dumps({"format": FORMAT, "model": model})
        self._said: dict[str, tuple[list[int], Said]] = {}
        if self._path.is_file():
            self._read()
        if not self._said:
            write_text(self._path, self._head + "\n")

    def get(self, name: str) -> Said | None:
        """Return what was said of a scan; None if it is new or has changed since."""
        stamp, said = self._said.get(key_of(name), (None, None))
        if said is None or stamp != stamp_of(name, self._places):
            return None
        return replace(said, refused=f"{name}: {said.refused}" if said.refused else "")

    def add(self, said: Mapping[str, Said]) -> None:
        """Add a line for scans that were read together; see that it is on the disk."""
        scans = []
        for name, one in said.items():
            cause = _nameless(one.refused, name)
            if (
                cause is not None
                and (stamp := stamp_of(name, self._places)) is not None
            ):
                told = asdict(replace(one, refused=cause))
                scans.append({"scan": key_of(name), "stamp": stamp, **told})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(scans) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> None:
        try:
            text = self._path.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{self._path}: is damaged ({error}); remove it") from error
        head, *lines = text.split("\n")
        if head != self._head or not lines:
            return  # of another model, or nothing but its name
        whole, cut = lines[:-1], lines[-1]
        for number, line in enumerate(whole, 2):
            try:
                for told in parse_json(line):
                    self._said[told.pop("scan")] = (told.pop("stamp"), _said_in(told))
            except (
                ValueError,
                TypeError,
                KeyError,
                AttributeError,
                OverflowError,
                RecursionError,
            ) as error:
                raise DataError(
                    f"{self._path}: line {number} is damaged ({error}); remove the file"
                ) from error
        if cut:
            write_text(self._path, "\n".join([head, *whole, ""]))


def _said_in(told: dict[str, Any]) -> Said:
    quality, distance = told["quality"], told["distance"]
    return Said(
        tuple(
            tuple(tuple(map(_number, row)) for row in rows) for rows in told["logits"]
        ),
        tuple(told["misfits"]),
        None if quality is None else tuple(quality),
        None if distance is None else _number(distance),
        str(told["refused"]),
        bool(told["unread"]),
    )


def _number(told: object) -> float:
    if isinstance(told, bool) or not isinstance(told, int | float):
        raise TypeError(f"{str(told)[:40]!r} is no number")
    return float(told)


def key_of(name: str) -> str:
    """Return a hash that tells a scan without naming it."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()


def _nameless(cause: str, name: str) -> str | None:
    """Return a cause without the path that it begins with; None if others may follow.

    >>> _nameless("a/x.png: damaged PNG", "a/x.png")
    'damaged PNG'
    >>> _nameless("a/x.hdr: needs a/x.img", "a/x.hdr")
    """
    bare = cause.removeprefix(f"{name}: ")
    path = Path(name)
    is_told = bare != cause and path.stem not in bare and os.sep not in bare
    return bare if is_told or not cause else None


def stamp_of(name: str, places: Places = AS_NAMED) -> list[int] | None:
    """Return what changes with a scan: files, bytes, last change; None: it is gone.

    Args:
        name: of the scan.
        places: where it lies if it is named by its place in an archive, with which it
            changes.
    """
    path = places.archive_of(name) or Path(name)
    try:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        facts = [file.stat() for file in files]
    except OSError:
        return None
    latest = max((one.st_mtime_ns for one in facts), default=0)
    return [len(facts), sum(one.st_size for one in facts), latest]
