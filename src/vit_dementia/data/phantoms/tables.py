"""The tables beside the pictures: who they are, and what was done to them.

What was done (``truth.tsv``) lies beside the masks, away from the tables that a
training reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from vit_dementia import files
from vit_dementia.data import storage
from vit_dementia.data.phantoms.anatomy import GRADES

Row = dict[str, str]


def write_slice_tables(
    folder: Path, rows: Sequence[Row], truths: Sequence[Row]
) -> None:
    """Write the cohort of slices, so that `Cohort.read` and `from_path` take it."""
    present = {row["label"] for row in rows}
    cells = {name: [row[name] for row in rows] for name in rows[0]}
    cohort = storage.Stored(
        root=folder,
        table=storage.frame(cells),
        classes=tuple(grade.label for grade in GRADES if grade.label in present),
        ordered=True,
        problems=(),
        notes=(),
    )
    storage.write(folder / "cohort.tsv", cohort)
    _write_table(folder / "masks" / "truth.tsv", truths)


def write_bids_tables(folder: Path, rows: Sequence[Row], truths: Sequence[Row]) -> None:
    """Write what makes a folder of volumes a BIDS data set, and its masks another."""
    present = {row["diagnosis"] for row in rows}
    levels = {
        grade.label: f"simulated atrophy of mean strength {grade.atrophy}"
        for grade in GRADES
        if grade.label in present
    }
    sexes = {"F": "female", "M": "male"}
    _write_table(folder / "participants.tsv", rows)
    files.write_json(
        folder / "participants.json",
        {
            "diagnosis": {"Description": "class of the simulation", "Levels": levels},
            "age": {"Description": "simulated age", "Units": "year"},
            "sex": {"Description": "simulated sex", "Levels": sexes},
        },
    )
    _write_description(folder, "Phantoms of dementia", "raw")
    files.write_text(
        folder / "README",
        "Simulated T1-weighted scans made from the ICBM 152 template: nobody real.\n"
        "derivatives/atrophy says where tissue was taken away, and how much.\n",
    )
    atrophy = folder / "derivatives" / "atrophy"
    _write_description(atrophy, "Where atrophy was put", "derivative")
    _write_table(atrophy / "truth.tsv", truths)


def _write_description(folder: Path, name: str, kind: str) -> None:
    files.write_json(
        folder / "dataset_description.json",
        {
            "Name": name,
            "BIDSVersion": "1.9.0",
            "DatasetType": kind,
            "GeneratedBy": [{"Name": "vit-dementia data phantom"}],
        },
    )


def _write_table(path: Path, rows: Iterable[Row]) -> None:
    rows = list(rows)
    lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
    files.write_text(path, "\n".join(lines) + "\n")
