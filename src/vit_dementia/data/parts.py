"""One cohort of class folders that lie in different places, one for each part."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from vit_dementia.data.cohort import Cohort
from vit_dementia.errors import DataError


def cohort_of_parts(folders: Mapping[str, Path]) -> Cohort:
    """Read ``{"train": folder, "test": folder}``, each with a folder a class.

    Raises:
        DataError: with the faults of all parts, or if their classes differ.
    """
    parts: dict[str, Cohort] = {}
    faults: list[str] = []
    for part, folder in folders.items():
        try:
            parts[part] = Cohort.from_path(folder)
        except DataError as error:
            faults += error.faults
    if faults:
        raise DataError(*faults)
    everywhere = {name for cohort in parts.values() for name in cohort.classes}
    faults = [
        f"{folders[part]}: has no class {name}, which another part has"
        for part, cohort in parts.items()
        for name in sorted(everywhere - set(cohort.classes))
    ]
    if faults:
        raise DataError(*faults)
    root = Path(
        os.path.commonpath([cohort.root.resolve() for cohort in parts.values()])
    )
    tables = [
        cohort.table.assign(
            path=[
                (cohort.root.resolve() / path).relative_to(root).as_posix()
                for path in cohort.table["path"]
            ],
            split=part,
        )
        for part, cohort in parts.items()
    ]
    first = next(iter(parts.values()))
    return Cohort(
        root=root,
        table=pd.concat(tables).sort_values("path", ignore_index=True),
        classes=first.classes,
        ordered=first.ordered,
        problems=tuple(line for cohort in parts.values() for line in cohort.problems),
        notes=tuple(line for cohort in parts.values() for line in cohort.notes),
    )
