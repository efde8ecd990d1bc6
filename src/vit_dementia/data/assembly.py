"""From folders and tables to the rows of a cohort."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath

import pandas as pd

from vit_dementia.data.bids import Found, is_bids, is_caps, list_bids, list_caps
from vit_dementia.data.classes import UNKNOWN, severity
from vit_dementia.data.diagnosis import BidsTables, names_people, tell
from vit_dementia.data.dicom import dicom_scans, holds_dicom, identity_of, pseudonym_of
from vit_dementia.data.folders import is_flat, list_folders, list_scans
from vit_dementia.data.gathered import Gathered, some
from vit_dementia.data.images import PICTURE_SUFFIXES
from vit_dementia.data.joining import join_paths, join_people, note_near
from vit_dementia.data.participants import SOURCES, identify
from vit_dementia.data.pseudonyms import read_salt
from vit_dementia.data.records import check_names, read_records
from vit_dementia.data.storage import frame, read_facts
from vit_dementia.data.tables import TABLE_SUFFIXES, read_table
from vit_dementia.data.visits import Visits, keep_visits
from vit_dementia.errors import ConfigError, DataError


def is_volume(path: str) -> bool:
    """Say whether a path of a cohort leads to a volume: whatever is no picture.

    >>> is_volume("a/T1w.nii.gz"), is_volume("a/slice.png")
    (True, False)
    """
    return PurePosixPath(path).suffix.lower() not in PICTURE_SUFFIXES


def gather(
    path: Path,
    *,
    participants: Path | None,
    columns: Mapping[str, str],
    labels_from_table: bool,
    unlabelled: bool = False,
    visits: Visits = "all",
    salt_file: Path | None = None,
) -> Gathered:
    """List the scans at ``path`` and say who is on them.

    Raises:
        DataError: if there is nothing of that kind, or with the faults of a table.
    """
    check_names(columns)
    path = path.expanduser()
    if not path.exists():
        raise DataError(f"{path}: does not exist; a folder or a table is needed")
    own = {} if participants else columns
    salt: bytes | None = None
    listing = path / "cohort.tsv" if path.is_dir() else path
    if listing.is_file():
        gathered = _from_table(listing, own)
    elif is_caps(path):
        gathered = _from_data_set(path, list_caps(path), own)
    elif is_bids(path):
        gathered = _from_data_set(path, list_bids(path), own)
    elif path.is_dir() and holds_dicom(path):
        if visits != "all":  # a session's pseudonym says nothing of when it was
            raise ConfigError(
                f"visits: found {visits}; of DICOM the order of visits is not known; "
                "leave it out, or list the scans in a table"
            )
        salt = read_salt(salt_file)
        gathered = _from_dicom(path, salt)
    elif (columns or labels_from_table) and participants is None:
        names = ", ".join(f"{ours}={theirs}" for ours, theirs in columns.items())
        raise ConfigError(
            f"columns {names}: {path} has no table; name one by --participants FILE"
        )
    else:
        bare = unlabelled or participants is not None  # scans need no class around them
        gathered = _from_folders(path, bare=bare)
    by_people = participants is not None and names_people(participants, columns)
    if participants is not None and not by_people:
        join_paths(gathered, participants, columns, believe_labels=labels_from_table)
    _name_participants(gathered)
    if participants is not None and by_people:
        join_people(
            gathered,
            participants,
            columns,
            believe_labels=labels_from_table,
            alias=None if salt is None else partial(pseudonym_of, salt=salt),
        )
    _note_kinds(gathered)
    keep_visits(gathered, visits)
    gathered.table = gathered.table.sort_values("path", ignore_index=True)
    return gathered


def _from_data_set(root: Path, found: Found, columns: Mapping[str, str]) -> Gathered:
    """Take the volumes of BIDS or CAPS, and what the tables beside them say."""
    if not found.paths:
        raise DataError.of([*found.faults, *found.problems])
    home = root
    if not (root / "participants.tsv").is_file() and root.parent.name == "derivatives":
        home = root.parent.parent  # the tables stay with the raw data
    tables = BidsTables(home, found.subjects, columns)
    told, num_near = tell(tables.known, found.participants, found.sessions)
    cells = {
        "path": found.paths,
        "participant_id": found.participants,
        "session_id": found.sessions,
        "participant_source": ["bids"] * len(found.paths),
    }
    gathered = Gathered(
        root=root,
        table=frame(cells | told),
        labels_named_in="the tables of the data set",
        faults=found.faults,
        problems=found.problems,
        notes=found.notes,
    )
    if all(label == UNKNOWN for label in gathered.table["label"]):
        gathered.why_unlabelled = tables.why_unlabelled(found.participants)
    if tables.label_column:
        gathered.notes.append(f"labels are those of the column {tables.label_column!r}")
    note_near(gathered, num_near)
    return gathered


def _from_dicom(root: Path, salt: bytes) -> Gathered:
    """Take the T1-weighted series of every study; folders of stages are its labels."""
    scans, problems = dicom_scans(root)
    if not scans:
        raise DataError.of(problems.values())
    paths = [path.relative_to(root).as_posix() for path in scans]
    labels = [path.partition("/")[0] for path in paths]
    if len(set(labels)) < 2 or any(severity(label) is None for label in labels):
        labels = [UNKNOWN] * len(paths)
    people = [identity_of(header, salt) for header in scans.values()]
    cells = {
        "path": paths,
        "label": labels,
        "participant_id": [one.participant_id for one in people],
        "session_id": [one.session_id for one in people],
        "participant_source": [str(one.source) for one in people],
    }
    return Gathered(
        root=root,
        table=frame(cells),
        labels_named_in="the folders",
        problems=[_relative(problem, root) for problem in problems.values()],
    )


def _relative(problem: str, root: Path) -> str:
    """Return a line whose path is told from the root on."""
    return problem.replace(f"{root.as_posix()}/", "")


def _from_folders(root: Path, *, bare: bool) -> Gathered:
    flat = bare and is_flat(root)
    listed = list_scans(root) if flat else list_folders(root)
    cells = {"path": listed.paths, "label": listed.labels, "split": listed.splits}
    return Gathered(
        root=root,
        table=frame(cells),
        labels_named_in="the folders",
        faults=listed.faults,
        problems=listed.problems,
        notes=listed.notes,
    )


def _from_table(path: Path, columns: Mapping[str, str]) -> Gathered:
    if path.suffix.lower() not in TABLE_SUFFIXES:
        what = "a picture" if path.suffix.lower() in PICTURE_SUFFIXES else "a file"
        raise DataError(f"{path}: is {what}; a folder or a .csv or .tsv is needed")
    facts = path.with_suffix(".json") if path.name == "cohort.tsv" else None
    known = read_facts(facts) if facts is not None and facts.is_file() else None
    root = Path(os.path.normpath(path.parent / (known["root"] if known else ".")))
    source = read_table(path)
    cells = read_records(source, root, columns=columns, needed=("path", "label"))
    if not cells["path"]:
        raise DataError(f"{path}: has no rows; paths and labels are needed")
    first_of: dict[str, int] = {}
    faults, problems, kept = [], [], []
    for row, name in enumerate(cells["path"]):
        if (first := first_of.setdefault(name, row)) != row:
            faults.append(
                f"{source.where(row)}: {name!r} stands in line {source.lines[first]} "
                "already; one row for a scan is needed"
            )
        elif not (root / name).exists():
            problems.append(f"{source.where(row)}: {name!r} does not exist")
        else:
            kept.append(row)
    if faults:
        raise DataError.of(faults)
    return Gathered(
        root=root,
        table=frame(cells).iloc[kept].reset_index(drop=True),
        labels_named_in=str(path),
        classes=tuple(known["classes"]) if known else None,
        problems=problems,
    )


def _note_kinds(gathered: Gathered) -> None:
    """Refuse pictures among volumes: no model reads both."""
    kinds = [is_volume(path) for path in gathered.table["path"]]
    if any(kinds) and not all(kinds):
        pictures = [
            path
            for path, volume in zip(gathered.table["path"], kinds, strict=True)
            if not volume
        ]
        gathered.faults.append(
            f"{gathered.root}: found {len(pictures)} pictures ({some(pictures)}) among "
            f"{sum(kinds)} volumes; needs one kind: move the others"
        )


def _name_participants(gathered: Gathered) -> None:
    """Read from names who is on a scan where no table tells."""
    table = gathered.table
    columns = ["participant_id", "session_id", "participant_source"]
    filled: list[tuple[str, str, str]] = []
    for path, participant, session, source in table[["path", *columns]].itertuples(
        index=False, name=None
    ):
        if participant != UNKNOWN:
            told = source if source in SOURCES[1:-1] else "table"
            filled.append((participant, session, told))
            continue
        who = identify(path)
        visit = who.session_id if session == UNKNOWN else session
        filled.append((who.participant_id, visit, who.source))
    for column, values in zip(columns, zip(*filled, strict=True), strict=False):
        table[column] = pd.Series(values, dtype=object)
    num = int((table["participant_id"] == UNKNOWN).sum())
    if num:
        gathered.notes.append(
            f"the participant of {num} of {len(table)} scans is unknown"
        )
