"""Scans as a person names them, and where they lie: an archive is unpacked aside.

A scan inside an archive is named as if the archive were a folder: ``scans.zip/a.png``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vit_dementia.data.archives import unpack
from vit_dementia.data.private import private_folder
from vit_dementia.data.scans import NOTHING, scans_in, scans_unpacked
from vit_dementia.errors import DataError
from vit_dementia.limits import LIMITS, Limits


@dataclass(frozen=True)
class Places:
    """Where named scans lie.

    >>> places = Places({Path("a.zip"): Path("/tmp/x")})
    >>> places.file_of("a.zip/b.png").as_posix(), places.file_of("b.png").as_posix()
    ('/tmp/x/b.png', 'b.png')

    Attributes:
        folder_of: into which folder of this process each archive is unpacked.
    """

    folder_of: Mapping[Path, Path] = field(default_factory=dict)

    def file_of(self, name: str | Path) -> Path:
        """Return where a named scan can be read."""
        path, archive = Path(name), self.archive_of(name)
        if archive is None:
            return path
        return self.folder_of[archive] / path.relative_to(archive)

    def archive_of(self, name: str | Path) -> Path | None:
        """Return the archive that a named scan lies in; None: in none."""
        if not self.folder_of:
            return None
        path = Path(name)
        return next((one for one in path.parents if one in self.folder_of), None)

    def told(self, text: str) -> str:
        """Return a message with names in place of where things lie.

        >>> Places({Path("a.zip"): Path("/tmp/x")}).told("/tmp/x/b.png: is empty")
        'a.zip/b.png: is empty'
        """
        for archive, folder in self.folder_of.items():
            text = text.replace(str(folder), str(archive))
        return text


AS_NAMED = Places()
"""every scan lies where it is named"""


def is_archive(path: Path) -> bool:
    """Say whether a name is that of an archive of scans."""
    return path.suffix.lower() == ".zip"


@contextmanager
def named_scans(
    paths: Iterable[Path], *, limits: Limits = LIMITS
) -> Iterator[tuple[list[Path], Places]]:
    """Yield the names of the scans that are meant, and where they lie.

    Archives are unpacked into a folder that nobody else may enter; it goes in the end.

    Args:
        paths: scans, folders, tables and archives, in this order.
        limits: of one archive.

    Raises:
        DataError: as ``scans_in``, and with what is wrong with an archive.
    """
    named = list(paths)
    if not named:
        raise DataError(NOTHING)
    faults: list[str] = []
    found: list[Path] = []
    folder_of: dict[Path, Path] = {}
    places = Places(folder_of)
    with ExitStack() as stack:
        root: Path | None = None
        for path in named:
            try:
                if not is_archive(path) or not path.is_file():
                    found += scans_in([path])
                    continue
                if path not in folder_of:
                    root = root or stack.enter_context(private_folder())
                    # A participant's folder, packed from within, keeps their name.
                    name = path.stem if path.stem.startswith("sub-") else "scans"
                    inside = root / str(len(folder_of)) / name
                    unpack(path, inside, limits=limits)
                    folder_of[path] = inside
                found += _inside(path, folder_of[path])
            except DataError as error:
                faults += [places.told(fault) for fault in error.faults]
        if faults:
            raise DataError.of(faults)
        yield found, places


def _inside(archive: Path, folder: Path) -> list[Path]:
    """Return the names of the scans in an archive.

    Raises:
        DataError: if there is none.
    """
    scans = scans_unpacked(folder)
    if not scans:
        raise DataError(
            f"{archive}: holds no scan; needs pictures, NIfTI, BIDS or DICOM"
        )
    return [archive / scan.relative_to(folder) for scan in scans]
