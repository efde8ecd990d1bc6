"""Comma- and tab-separated tables, read strictly: what is unclear is refused by line.

A spreadsheet that was saved with another separator or encoding would otherwise be read
as something else than its author saw. A byte-order mark and Windows line ends are fine.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from vit_dementia.errors import ManifestError
from vit_dementia.files import read_regular
from vit_dementia.limits import LIMITS, Limits

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_NAME_OF = {",": "commas", "\t": "tabs", ";": "semicolons"}
TABLE_SUFFIXES = frozenset(_SEPARATORS)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of text: a header, rows, and the line in the file at which each ends."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> list[str]:
        """Return the cells below one name of the header."""
        at = self.header.index(name)
        return [row[at] for row in self.rows]

    def where(self, row: int) -> str:
        """Return file and line of a row, as an error message begins."""
        return f"{self.path}: line {self.lines[row]}"


def read_table(path: Path, *, limits: Limits = LIMITS) -> Table:
    """Read one ``.csv`` (commas) or ``.tsv`` (tabs), UTF-8, with a header line.

    Raises:
        ManifestError: with every fault and its line.
    """
    separator = _SEPARATORS.get(path.suffix.lower())
    if separator is None:
        raise ManifestError(
            f"{path}: found a name ending in {path.suffix!r}; .csv or .tsv is needed"
        )
    text = _text_of(path, limits)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    faults: list[str] = []
    try:
        for cells in reader:
            if not cells:  # a blank line
                continue
            line = reader.line_num
            if not header:
                header = tuple(cell.strip() for cell in cells)
                continue
            if len(cells) != len(header):
                faults.append(
                    f"{path}: line {line}: found {len(cells)} cells; "
                    f"{len(header)} are needed, as in the header"
                )
            elif tuple(cell.strip() for cell in cells) == header:
                faults.append(f"{path}: line {line}: repeats the header")
            elif max(map(len, cells)) > limits.cell_characters:
                faults.append(
                    f"{path}: line {line}: holds a cell of more than "
                    f"{limits.cell_characters} characters"
                )
            rows.append(tuple(cells))
            lines.append(line)
    except csv.Error as error:
        faults.append(f"{path}: line {reader.line_num}: {error}")
    faults += _faults_of_header(path, header, separator)
    if faults:
        raise ManifestError.of(faults)
    return Table(path=path, header=header, rows=tuple(rows), lines=tuple(lines))


def _text_of(path: Path, limits: Limits) -> str:
    """Read the whole file as UTF-8 text without NUL characters."""
    try:
        if not path.is_file():
            raise ManifestError(f"{path}: is not a file; a table is needed")
        if path.stat().st_size > limits.table_bytes:
            raise ManifestError(
                f"{path}: larger than the {limits.table_bytes} bytes that are read"
            )
        content = read_regular(path, most_bytes=limits.table_bytes)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror})") from error
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise ManifestError(
            f"{path}: line {line}: holds a NUL byte; text in UTF-8 is needed"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ManifestError(
            f"{path}: line {line}: holds the byte {content[error.start]:#04x}, "
            "which is not UTF-8; save the table as UTF-8"
        ) from error


def _faults_of_header(path: Path, header: tuple[str, ...], separator: str) -> list[str]:
    """Say what is wrong with the names of the columns."""
    if not header:
        return [f"{path}: is empty; a header line and rows are needed"]
    if len(header) == 1:
        for other, name in _NAME_OF.items():
            if other != separator and other in header[0]:
                return [
                    f"{path}: line 1: columns are separated by {name}; "
                    f"{_NAME_OF[separator]} are needed in a {path.suffix} file"
                ]
    faults = [
        f"{path}: line 1: column {at + 1} has no name"
        for at, name in enumerate(header)
        if not name
    ]
    twice = sorted({name for name in header if name and header.count(name) > 1})
    faults += [f"{path}: line 1: column {name!r} stands twice" for name in twice]
    return faults
