"""The cohort: everything known about a set of scans, one row for each.

Shapes: n scans.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Int

from vit_dementia import files
from vit_dementia.data import assembly, checks, storage
from vit_dementia.data.classes import UNKNOWN, order_classes
from vit_dementia.data.problems import refuse_too_many
from vit_dementia.data.visits import Visits
from vit_dementia.errors import ConfigError, DataError

Unit = Literal["participant", "image"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Cohort:
    """Scans with who, when, which label and which part, sorted by path.

    Attributes:
        root: the folder to which the paths are relative.
        table: one row a scan, columns as in `COLUMNS`; what is unknown is ``n/a`` (an
            age: NaN). The label is ``n/a`` only if scans without one were asked for.
        classes: class names; a label's index is its place here.
        ordered: whether the classes are in order of severity.
        problems: one line for each file that was left out.
        notes: what a person should know about these data.
    """

    root: Path
    table: pd.DataFrame
    classes: tuple[str, ...]
    ordered: bool
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def from_path(
        cls,
        path: Path | str,
        *,
        participants: Path | None = None,
        columns: Mapping[str, str] | None = None,
        label_column: str | None = None,
        label_map: Mapping[str, str] | None = None,
        classes: Sequence[str] | None = None,
        visits: Visits = "all",
        salt_file: Path | None = None,
        keep_unlabelled: bool = False,
        as_found: bool = False,
    ) -> Cohort:
        """Read any layout of scans that is known; none is decoded.

        Args:
            path: a folder ``ROOT/<class>/**`` or ``ROOT/{train,val,test}/<class>/**``,
                a folder with a ``cohort.tsv``, a ``.csv`` or ``.tsv`` file, a BIDS data
                set, Clinica's CAPS or DICOM; or scans alone, if ``participants`` tells
                labels.
            participants: a table with the participant of each path; or, without paths,
                of people or their visits.
            columns: our name of a column to that of the participants table, or of the
                table at ``path`` if there is none.
            label_column: its column with the labels; it is believed instead of the
                folders' names.
            label_map: label as found to label as wanted, to rename and to merge.
            classes: all class names in the order wanted; another label is a fault.
            visits: which of a participant's sessions are taken.
            salt_file: of the pseudonyms of DICOM; the user's own if left out.
            keep_unlabelled: keep scans without a label, for training without labels.
            as_found: for an audit: repeats are kept, and what no training could bear
                (one picture with two labels, a class in one part only) is a note.

        Raises:
            DataError: with every fault that was found.
            ConfigError: if the arguments contradict each other.
        """
        wanted = dict(columns or {})
        if label_column is not None:
            if wanted.get("label", label_column) != label_column:
                raise ConfigError(
                    f"label column: found {label_column!r} and, in columns, "
                    f"{wanted['label']!r}; name one"
                )
            wanted["label"] = label_column
        gathered = assembly.gather(
            Path(path),
            participants=participants,
            columns=wanted,
            labels_from_table=label_column is not None,
            unlabelled=keep_unlabelled,
            visits=visits,
            salt_file=salt_file,
        )
        checks.relabel(gathered, label_map or {}, keep_unlabelled=keep_unlabelled)
        in_order, ordered = order_classes(
            label for label in gathered.table["label"] if label != UNKNOWN
        )
        told = tuple(classes) if classes is not None else None
        if told is None and not label_map and label_column is None:
            told = gathered.classes
        if told is not None:
            ordered = told == order_classes(told)[0] and order_classes(told)[1]
        checks.check(
            gathered,
            told or in_order,
            told=told is not None,
            as_found=as_found,
            unlabelled=keep_unlabelled,
        )
        cohort = cls(
            root=gathered.root,
            table=gathered.table,
            classes=told or in_order,
            ordered=ordered,
            problems=tuple(gathered.problems),
            notes=tuple(gathered.notes),
        )
        if not as_found:
            cohort._refuse_too_many(lost=())
        return cohort

    @classmethod
    def read(cls, path: Path, *, root: Path | None = None) -> Cohort:
        """Read a cohort that `write` has written, by its table or its folder.

        Args:
            path: the table or the folder that holds it.
            root: where the scans are now, if they or the table were moved.

        Raises:
            ManifestError: if either file is missing, damaged or of another version.
        """
        stored = storage.read(path / "cohort.tsv" if path.is_dir() else path)
        return cls(
            root=root or stored.root,
            table=stored.table,
            classes=stored.classes,
            ordered=stored.ordered,
            problems=stored.problems,
            notes=stored.notes,
        )

    def write(self, path: Path) -> None:
        """Write the table to ``path``, and beside it a ``.json`` with the classes.

        A folder gets a ``cohort.tsv`` and a ``cohort.json``.
        """
        storage.write(
            path / "cohort.tsv" if path.is_dir() else path,
            storage.Stored(
                root=self.root,
                table=self.table,
                classes=self.classes,
                ordered=self.ordered,
                problems=self.problems,
                notes=self.notes,
            ),
        )

    def file_of(self, row: int) -> Path:
        """Return the file of one row."""
        return self.root / str(self.table["path"].iloc[row])

    def files(self) -> list[Path]:
        """Return every scan's file, row by row."""
        return [self.root / path for path in self.table["path"]]

    def labels(self) -> Int[np.ndarray, " n"]:
        """Return every scan's index into ``classes``; -1 where it has no label."""
        index_of = {name: index for index, name in enumerate(self.classes)}
        indices = [index_of.get(label, -1) for label in self.table["label"]]
        return np.array(indices, dtype=np.int64)

    @property
    def participants_known(self) -> bool:
        """Whether it is known of every scan who is on it."""
        return bool((self.table["participant_id"] != UNKNOWN).all())

    @property
    def holds_volumes(self) -> bool:
        """Whether the scans are volumes, not pictures of slices."""
        return any(map(assembly.is_volume, self.table["path"]))

    @property
    def brings_split(self) -> bool:
        """Whether the data themselves say who trains and who does not."""
        parts = set(self.table["split"])
        return "train" in parts and bool(parts & {"val", "test"})

    def unit_ids(self, unit: str) -> list[str]:
        """Return for every scan the id of what is never divided by a split.

        Args:
            unit: ``participant``; or ``image``, where an id is a hash of the path.

        Raises:
            DataError: if participants are asked for and unknown.
        """
        if unit == "image":
            return [_image_id(path) for path in self.table["path"]]
        if unit != "participant":
            raise ValueError(f"unit: found {unit!r}; participant or image is needed")
        if not self.participants_known:
            num = int((self.table["participant_id"] == UNKNOWN).sum())
            raise DataError(
                f"{self.root}: the participant of {num} of {len(self)} scans is "
                "unknown; name them by --participants FILE, or split by image"
            )
        return [str(participant) for participant in self.table["participant_id"]]

    def select(self, rows: np.ndarray | Sequence[int] | Sequence[bool]) -> Cohort:
        """Return the cohort of some rows: a mask, or places."""
        chosen = np.asarray(rows)
        if chosen.dtype == bool:
            chosen = np.flatnonzero(chosen)
        table = self.table.iloc[chosen.astype(np.int64)].reset_index(drop=True)
        return replace(self, table=table)

    def reordered(self, classes: Sequence[str]) -> Cohort:
        """Return the cohort with its classes in another order, say the alphabet's.

        Raises:
            ConfigError: if these are not exactly the cohort's classes.
        """
        if sorted(classes) != sorted(self.classes):
            raise ConfigError(
                f"classes: found {', '.join(classes)}; the cohort's are needed, in any "
                f"order: {', '.join(self.classes)}"
            )
        by_severity, told = order_classes(classes)
        return replace(
            self, classes=tuple(classes), ordered=told and by_severity == tuple(classes)
        )

    def without(self, causes: Mapping[str, str]) -> Cohort:
        """Leave out scans that cannot be used, if they are few.

        Args:
            causes: path, as in the table, to the line that says what is wrong.

        Raises:
            DataError: listing them all, if more than 5 % of all scans are unusable or
                if no scan of a class, or of a class in train, would be left.
        """
        if not causes:
            return self
        bad = self.table["path"].isin(list(causes))
        left = replace(
            self.select(~bad.to_numpy()),
            problems=(*self.problems, *(causes[p] for p in self.table["path"][bad])),
        )
        before, after = _classes_by_part(self.table), _classes_by_part(left.table)
        left._refuse_too_many(lost=sorted(before - after))
        return left

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all paths, participants, sessions and labels, in any row order."""
        columns = ["path", "participant_id", "session_id", "label"]
        rows = self.table[columns].to_numpy(dtype=object).tolist()
        return files.fingerprint(sorted(rows))

    def _refuse_too_many(self, *, lost: Sequence[str]) -> None:
        num_scans = len(self) + len(self.problems)
        refuse_too_many(self.problems, num_scans, lost=lost)


def _image_id(path: str) -> str:
    return "image-" + hashlib.sha256(path.encode()).hexdigest()[:16]


def _classes_by_part(table: pd.DataFrame) -> set[str]:
    """Return the classes that there are, and those in each part, as words."""
    pairs = zip(table["label"], table["split"], strict=True)
    return {f"class {label!r}" for label in table["label"]} | {
        f"class {label!r} in {part}" for label, part in pairs if part != UNKNOWN
    }
