"""What tables say of the people on scans: diagnosis, age, sex and site.

Tables name people and perhaps visits, not files: BIDS's ``participants.tsv`` and
``sub-*_sessions.tsv``, Clinica's for ADNI, the OASIS tables. A visit's own row comes
before the person's: in OASIS-2 the CDR belongs to the visit. An unknown value (``n/a``,
blank) stays unknown; nobody becomes a control because nobody has looked.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vit_dementia.data.classes import UNKNOWN, is_unknown
from vit_dementia.data.participants import canonical_participant, canonical_session
from vit_dementia.data.records import Cells, read_records
from vit_dementia.data.tables import Table, read_table
from vit_dementia.errors import ConfigError, ManifestError

LABEL_COLUMNS = ("diagnosis", "cdr")
"""Where a label is looked for if nobody names a column, the first before the second."""

_NAMES: Mapping[str, tuple[str, ...]] = {
    "participant_id": ("participant_id", "subject id", "subject", "ptid", "id"),
    "session_id": ("session_id", "mri id", "mr id", "session"),
    "age": ("age", "age_bl"),
    "sex": ("sex", "gender", "m/f", "ptgender"),
    "site": ("site",),
}
"""Our columns as archives name them, in any case of letters."""

_TOLD = ("label", "age", "sex", "site")
_DAY = re.compile(r"d(\d{4})")  # OASIS-3 counts days from a person's first visit
_NEAR_DAYS = 365  # a diagnosis of more than a year away is another one


@dataclass(frozen=True, kw_only=True)
class Known:
    """What one table says: its columns, and the row of each person's visits."""

    cells: Cells
    rows_of: Mapping[str, Mapping[str, int]]


def people_table(path: Path, columns: Mapping[str, str]) -> Known:
    """Read a table of people, or of their visits.

    Args:
        path: with a column for the participant; the visit may have its own or be part
            of the participant's id (``OAS1_0001_MR2``).
        columns: our name of a column to the table's own.

    Raises:
        ManifestError: with every fault and its line.
    """
    table = read_table(path)
    names = _names(table, columns, label_columns=()) | dict(columns)
    cells = read_records(table, path.parent, columns=names, needed=("participant_id",))
    sessions = cells.get("session_id")
    if sessions is None:
        ids = table.column(names.get("participant_id", "participant_id"))
        sessions = [
            visit if (visit := canonical_session(cell)) != cell.strip() else UNKNOWN
            for cell in ids
        ]
    return Known(cells=cells, rows_of=_rows(table, cells["participant_id"], sessions))


def names_people(path: Path, columns: Mapping[str, str]) -> bool:
    """Say whether a table names people and no paths."""
    header = read_table(path).header
    return "path" not in columns and "path" not in header


class BidsTables:
    """The tables of a BIDS data set: of its participants, and of each one's sessions.

    Args:
        root: the data set.
        subjects: folders of its participants.
        columns: our name of a column to the tables' own.

    Raises:
        ManifestError: with every fault of every table and its line.
    """

    def __init__(
        self, root: Path, subjects: Iterable[str], columns: Mapping[str, str]
    ) -> None:
        self.known: list[Known] = []
        faults: list[str] = []
        tables: list[tuple[str, Table]] = []
        paths = {
            f"{subject}": root / subject / f"{subject}_sessions.tsv"
            for subject in sorted(set(subjects))
        }
        for subject, path in [*paths.items(), ("", root / "participants.tsv")]:
            if path.is_file():
                try:
                    tables.append((subject, read_table(path)))
                except ManifestError as error:
                    faults += error.faults
        wanted = _label_columns(tables, columns)
        for subject, table in tables:
            try:
                self.known.append(_of_bids(subject, table, columns, wanted))
            except ManifestError as error:
                faults += error.faults
        if faults:
            raise ManifestError.of(faults)
        self.label_column = wanted[0] if wanted else None
        self._of_all = root / "participants.tsv"

    def why_unlabelled(self, participants: Sequence[str]) -> str:
        """Say why no label was found for any of these participants."""
        name = self._of_all.name
        if not self.known:
            is_there = self._of_all.is_symlink() or self._of_all.exists()
            return f"{name} is {'no file' if is_there else 'not there'}"
        if self.label_column is None:
            names = " or ".join(LABEL_COLUMNS)
            return f"no column is called {names}; name yours by --label-column"
        told = sorted({who for one in self.known for who in one.rows_of})
        if told and not set(told) & set(participants):
            return (
                f"{name} tells of {told[0]!r} and others, and the scans are of "
                f"{min(participants)!r} and others; spell ids alike"
            )
        return f"nothing stands in the column {self.label_column!r}"


def tell(
    known: Sequence[Known], participants: Sequence[str], sessions: Sequence[str]
) -> tuple[Cells, int]:
    """Return label, age, sex and site of each scan, and how many visits were matched.

    Args:
        known: tables, those believed first before the others.
        participants: of each scan.
        sessions: of each scan.

    Returns:
        Columns that some table has; and for how many scans the nearest visit of
        OASIS-3 within a year stood in for the day of the scan.
    """
    cells: Cells = {
        name: [UNKNOWN] * len(participants)
        for name in _TOLD
        if any(name in one.cells for one in known)
    }
    known_of: dict[str, list[Known]] = defaultdict(list)
    for one in known:
        for who in one.rows_of:
            known_of[who].append(one)
    num_near = 0
    for at, (who, visit) in enumerate(zip(participants, sessions, strict=True)):
        for name in cells:
            for one in known_of[who]:
                if name not in one.cells:
                    continue
                row, near = _row(one.rows_of[who], visit)
                if row is not None:
                    cells[name][at] = one.cells[name][row]
                    num_near += near and name == "label"
                    break  # the first that knows this visit or person is believed
    if "label" in cells:
        cells["label"] = [_as_number(label) for label in cells["label"]]
    return cells, num_near


def _row(row_of: Mapping[str, int], visit: str) -> tuple[int | None, bool]:
    """Return a person's row for a visit, or of the nearest, and whether it is that."""
    if (row := row_of.get(visit)) is not None:
        return row, False
    if day := _DAY.fullmatch(visit):
        near = [
            (abs(int(other[1]) - int(day[1])), row)
            for session, row in row_of.items()
            if (other := _DAY.fullmatch(session))
        ]
        if near and min(near)[0] <= _NEAR_DAYS:
            return min(near)[1], True
    if visit == UNKNOWN and len(row_of) == 1:
        return next(iter(row_of.values())), False
    return row_of.get(UNKNOWN), False


def _of_bids(
    subject: str, table: Table, columns: Mapping[str, str], wanted: Sequence[str]
) -> Known:
    names = _names(table, columns, label_columns=wanted)
    needed = "session_id" if subject else "participant_id"
    cells = read_records(table, table.path.parent, columns=names, needed=(needed,))
    count = len(table.rows)
    if subject:
        people, visits = [canonical_participant(subject)] * count, cells["session_id"]
    else:
        people, visits = cells["participant_id"], [UNKNOWN] * count
    return Known(cells=cells, rows_of=_rows(table, people, visits))


def _label_columns(
    tables: Sequence[tuple[str, Table]], columns: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the column with the label: as named, else the first default that is known.

    Raises:
        ConfigError: if no table has a column that was named.
    """
    has = sorted({name for _, table in tables for name in table.header})
    faults = [
        f"columns {ours}={theirs}: no table of this data set has {theirs!r}; found: "
        f"{', '.join(has)}"
        for ours, theirs in columns.items()
        if theirs not in has
    ]
    if faults:
        raise ConfigError.of(faults)
    if (named := columns.get("label")) is not None:
        return (named,)
    for wanted in LABEL_COLUMNS:
        for _, table in tables:
            for name in table.header:
                if name.lower() == wanted and not all(
                    map(is_unknown, table.column(name))
                ):
                    return (wanted,)
    return ()


def _names(
    table: Table, columns: Mapping[str, str], *, label_columns: Sequence[str]
) -> dict[str, str]:
    """Return our name of a column to the table's own, as far as it has one."""
    has = {name.lower(): name for name in reversed(table.header)}
    known = {**_NAMES, "label": label_columns or LABEL_COLUMNS}
    names = {}
    for ours, spellings in known.items():
        found = [has[name.lower()] for name in spellings if name.lower() in has]
        if found:
            names[ours] = found[0]
    asked = {o: theirs for o, theirs in columns.items() if theirs in table.header}
    return names | asked


def _rows(
    table: Table, people: Sequence[str], visits: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Return the row of each visit of each participant.

    Raises:
        ManifestError: naming both lines where one of them has two rows.
    """
    rows_of: dict[str, dict[str, int]] = defaultdict(dict)
    faults = []
    for row, (who, visit) in enumerate(zip(people, visits, strict=True)):
        if (first := rows_of[who].setdefault(visit, row)) != row:
            whose = who if visit == UNKNOWN else f"{who}, session {visit},"
            faults.append(
                f"{table.where(row)}: {whose} stands in line {table.lines[first]} "
                "already; one row for each is needed"
            )
    if faults:
        raise ManifestError.of(faults)
    return dict(rows_of)


def _as_number(label: str) -> str:
    """Return a rating as one spelling: ``0.0`` and ``0`` are one class.

    >>> [_as_number(label) for label in ("0.0", "0.5", "1", "CN", "n/a")]
    ['0', '0.5', '1', 'CN', 'n/a']
    """
    return f"{float(label):g}" if re.fullmatch(r"\d+\.\d+", label) else label
