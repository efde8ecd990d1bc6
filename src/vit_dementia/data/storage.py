"""``cohort.tsv`` and ``cohort.json``: a cohort on disk.

BIDS allows no comment in a table, so what is not a row stands in the JSON beside it.
"""

from __future__ import annotations

import csv
import io
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from vit_dementia import files
from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.records import COLUMNS, read_records
from vit_dementia.data.tables import read_table
from vit_dementia.errors import ManifestError
from vit_dementia.spreadsheets import shown_path

FORMAT = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Stored:
    """What the two files hold."""

    root: Path
    table: pd.DataFrame
    classes: tuple[str, ...]
    ordered: bool
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def write(path: Path, stored: Stored) -> None:
    """Write both files, each whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in stored.table[list(COLUMNS)].itertuples(index=False, name=None):
        writer.writerow([shown_path(row[0]), *map(_cell, row[1:])])
    files.write_text(path, text.getvalue())
    files.write_json(
        path.with_suffix(".json"),
        {
            "format": FORMAT,
            "root": _way(path.parent, stored.root),
            "classes": list(stored.classes),
            "ordered": stored.ordered,
            "problems": list(stored.problems),
            "notes": list(stored.notes),
        },
    )


def read(path: Path) -> Stored:
    """Read both files.

    Raises:
        ManifestError: if they are missing, damaged, of another version or at odds.
    """
    facts = read_facts(path.with_suffix(".json"))
    root = Path(os.path.normpath(path.parent / facts["root"]))
    table = frame(read_records(read_table(path), root, columns={}, needed=COLUMNS))
    strange = sorted(set(table["label"]) - {*facts["classes"], UNKNOWN})
    if strange:
        raise ManifestError(
            f"{path}: found the labels {', '.join(map(repr, strange))}, which are not "
            f"classes in {path.with_suffix('.json').name}"
        )
    return Stored(
        root=root,
        table=table,
        classes=tuple(facts["classes"]),
        ordered=facts["ordered"],
        problems=tuple(facts["problems"]),
        notes=tuple(facts["notes"]),
    )


def read_facts(path: Path) -> dict[str, Any]:
    """Read the JSON beside a table, every field checked."""
    facts = files.read_json(path, ManifestError)
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ManifestError(f"{path}: a cohort of format {FORMAT} is needed")
    faults = [
        f"{path}: {name!r} is missing or of the wrong type"
        for name in ("classes", "problems", "notes")
        if not _are_texts(facts.get(name))
    ]
    if not isinstance(facts.get("ordered"), bool):
        faults.append(f"{path}: 'ordered' is missing or of the wrong type")
    if not isinstance(facts.get("root"), str):
        faults.append(f"{path}: 'root' is missing or of the wrong type")
    if faults:
        raise ManifestError.of(faults)
    return facts


def frame(cells: dict[str, list[str]]) -> pd.DataFrame:
    """Make the table of a cohort from columns of text; what is missing is unknown."""
    num_rows = len(cells["path"])
    table = pd.DataFrame(
        {name: cells.get(name, [UNKNOWN] * num_rows) for name in COLUMNS}, dtype=object
    )
    ages = [math.nan if age == UNKNOWN else float(age) for age in table["age"]]
    table["age"] = pd.Series(ages, dtype="float64")
    return table


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _way(start: Path, root: Path) -> str:
    """Return the way from the table to the scans, short and without a user's name."""
    try:
        return Path(os.path.relpath(root.resolve(), start.resolve())).as_posix()
    except ValueError:  # another drive on Windows
        return root.resolve().as_posix()


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return UNKNOWN if math.isnan(value) else f"{value:g}"
    return str(value)
