"""The folder of one training: what stands in it and where.

It appears whole: configuration, cohort, split and environment are written aside and the
folder is renamed into place, so that a run that exists can always be resumed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from vit_dementia import __version__, recipes
from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import Split
from vit_dementia.errors import DataError
from vit_dementia.files import read_json, replacing_folder, write_json, write_text
from vit_dementia.inference.model_folder import find_model_folder

_VERSIONS_OF = ("torch", "lightning-fabric", "numpy", "scikit-learn", "pillow")


@dataclass(frozen=True)
class RunFolder:
    """A run on disk."""

    path: Path

    @classmethod
    def create(
        cls,
        path: Path,
        config: RunConfig,
        cohort: Cohort,
        split: Split,
        *,
        beside: Mapping[str, str] | None = None,
    ) -> RunFolder:
        """Make the folder of a new run.

        Args:
            path: a new folder.
            config: all settings.
            cohort: every scan there is.
            split: who trains, chooses and tests.
            beside: texts of more files, by their names in the folder.

        Raises:
            DataError: if there is something at ``path`` already.
        """
        cls.refuse_taken(path)
        with replacing_folder(path) as aside:
            write_text(aside / "config.toml", recipes.to_toml(config))
            cohort.write(aside / "cohort.tsv")
            split.write(aside / "split.json")
            write_json(aside / "environment.json", environment())
            for name, text in (beside or {}).items():
                write_text(aside / name, text)
        return cls(path)

    @staticmethod
    def refuse_taken(path: Path) -> None:
        """Raise DataError if a run, or anything else, is at ``path`` already."""
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise DataError(
                f"{path}: is there already; needs a new folder for --out, or --resume "
                "to go on with a run"
            )

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run that is there.

        Raises:
            DataError: if it is not a run folder.
        """
        missing = [
            name
            for name in ("config.toml", "cohort.tsv", "split.json")
            if not (path / name).is_file()
        ]
        if missing:
            raise DataError(
                f"{path}: is not a run folder: {', '.join(missing)} missing; needs the "
                "folder that a training wrote"
            )
        return cls(path)

    @property
    def config(self) -> RunConfig:
        """All settings of the run."""
        return recipes.from_toml(self.path / "config.toml")

    def cohort(self, *, moved_to: Cohort | None = None) -> Cohort:
        """Return the scans the run was given.

        Args:
            moved_to: the same scans, read from where they are now.

        Raises:
            DataError: if those are other scans.
        """
        cohort = Cohort.read(self.path / "cohort.tsv")
        if moved_to is None:
            return cohort
        if moved_to.fingerprint != cohort.fingerprint:
            raise DataError(
                f"{moved_to.root}: these are not the scans of {self.path}; needs the "
                "same files, participants and labels"
            )
        return moved_to

    def split(self, cohort: Cohort) -> Split:
        """Return who trains, chooses and tests, verified against the cohort."""
        return Split.read(self.path / "split.json", cohort)

    @property
    def environment(self) -> dict[str, Any]:
        """The machine and the versions the run began on."""
        return dict(read_json(self.path / "environment.json"))

    @property
    def model_folder(self) -> Path:
        """What is needed to predict."""
        return find_model_folder(self.path)

    @property
    def checkpoints(self) -> Path:
        """Where a stopped run finds its place."""
        return self.path / "checkpoints"

    def evaluation(self, role: str) -> Path:
        """Return the folder for the scores of one part of the split."""
        return self.path / "evaluation" / role


def environment() -> dict[str, Any]:
    """Say what the run begins on: versions, machine, time. No host or user name."""
    return {
        "vit_dementia": __version__,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "versions": {name: metadata.version(name) for name in _VERSIONS_OF},
    }
