"""Options that many verbs share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vit_dementia.cli.terminal import say
from vit_dementia.data.cohort import Cohort
from vit_dementia.errors import ConfigError
from vit_dementia.files import free_run_path


@dataclass(frozen=True, kw_only=True)
class CohortOptions:
    """How a folder or table of scans is read."""

    participants: Path | None = None
    """table that says who is on which scan: columns path,participant_id"""
    columns: str | None = None
    """other names of columns: participant_id=subject,label=kaggle_class"""
    label_column: str | None = None
    """column with the label [default: label; of a BIDS data set diagnosis, then cdr]"""
    label_map: str | None = None
    """labels renamed or merged: OLD=NEW,OLD=NEW"""
    visits: Literal["baseline", "all", "last"] = "all"
    """which sessions of a participant are taken"""
    salt_file: Path | None = None
    """salt of the pseudonyms of people in DICOM [default: the user's own]"""
    classes: str | None = None
    """the classes in order, first the healthy one: A,B,C [default: by severity]"""


def read_cohort(
    data: Path,
    options: CohortOptions,
    *,
    as_found: bool = False,
    unlabelled: bool = False,
) -> Cohort:
    """Read the scans of a folder or table.

    Args:
        data: the folder or table.
        options: how it is read.
        as_found: for an audit: faults that no training could bear are notes.
        unlabelled: for a training without labels: scans that have none are kept.

    Raises:
        DataError: if the data are not what is needed; every fault is listed.
    """
    return Cohort.from_path(
        data,
        participants=options.participants,
        columns=pairs_in("--columns", options.columns),
        label_column=options.label_column,
        label_map=pairs_in("--label-map", options.label_map),
        visits=options.visits,
        salt_file=options.salt_file,
        classes=names_in(options.classes),
        as_found=as_found,
        keep_unlabelled=unlabelled,
    )


def tell(cohort: Cohort) -> None:
    """Say what was read: how many scans of whom, the classes in their order, notes."""
    people = "participants unknown"
    if cohort.participants_known:
        people = f"{cohort.table['participant_id'].nunique()} participants"
    order = "in order of severity" if cohort.ordered else "in no known order"
    classes = f"classes {order}: {', '.join(cohort.classes)}"
    say(f"{len(cohort)} scans, {people}; {classes if cohort.classes else 'no classes'}")
    for note in cohort.notes:
        say(f"note: {note}")
    for problem in cohort.problems:
        say(f"left out: {problem}")


def pairs_in(flag: str, text: str | None) -> dict[str, str] | None:
    """Read A=B,C=D."""
    if text is None:
        return None
    pairs = [item.partition("=") for item in text.split(",")]
    wrong = [left for left, equals, right in pairs if not (left and equals and right)]
    if wrong:
        raise ConfigError(f"{flag}: found {text!r}; needs A=B,C=D")
    return {left.strip(): right.strip() for left, _, right in pairs}


def names_in(text: str | None) -> tuple[str, ...] | None:
    """Read A,B,C; None stays None."""
    if text is None:
        return None
    return tuple(name.strip() for name in text.split(",") if name.strip())


def new_folder(out: Path | None, verb: str) -> Path:
    """Return --out, or runs/<time>-<verb> where nothing is yet."""
    return out or free_run_path(verb)
