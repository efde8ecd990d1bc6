"""Maps that were made before, so that a stopped ``predict --explain`` goes on.

Beside the pictures stands, for each scan, what the tables and the means need of its
map. No path and nobody stands in it: a scan is told by its number, by the hash of its
path and by what changes with it. It is written after the pictures, and goes before they
are drawn anew: what is found belongs together.

Shapes: ``space`` the sides of what adds up to a mean.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from vit_dementia.data.named import AS_NAMED, Places
from vit_dementia.errors import DataError
from vit_dementia.files import fingerprint, replacing
from vit_dementia.inference.compute import Device, described, make_fabric
from vit_dementia.inference.kept import key_of, stamp_of
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.workflows.explain import Asked
from vit_dementia.workflows.explain_made import Made

FORMAT = 1
FOLDER = "kept"
_OF_SCAN = ("path", "participant_id")  # told again by whoever asks
_DAMAGE = (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error)


class KeptMaps:
    """The maps of a folder, and further ones.

    Args:
        out: folder of the pictures.
        model: that is explained.
        asked: by which method.
        device: where that is computed.
        places: where scans lie that are named by their place in an archive.
    """

    def __init__(
        self,
        out: Path,
        model: SavedModel,
        asked: Asked,
        *,
        device: Device = "auto",
        places: Places = AS_NAMED,
    ) -> None:
        self._out, self._places = out, places
        way = described(make_fabric(device, "fp32"))
        told = model.calibration.to_dict(model=model.sha256)["scaling"]
        self._about = [FORMAT, model.sha256, told, asdict(asked), way]

    def holds(self, number: int, path: str, label: str) -> bool:
        """Say whether a map of this scan for this class stands there, and is current.

        Args:
            number: of the scan, in the names of its files.
            path: as it is named.
            label: the class that is explained.

        Raises:
            DataError: if what is kept is damaged.
        """
        file = self._file(number)
        if not file.is_file():
            return False
        row, about = self._facts(file)
        names = [row["picture"], row["volume"]]
        return about == self._key(path, label) and all(
            (self._out / name).is_file() for name in names if name
        )

    def get(self, number: int, path: str, participant_id: str) -> Made:
        """Return what is left of a map that is held.

        Raises:
            DataError: if what is kept is damaged.
        """
        file = self._file(number)
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as told:
                facts = json.loads(str(told["facts"]))
                arrays = {name: told[name] for name in told.files}
            return Made(
                row={"path": path, "participant_id": participant_id} | facts["row"],
                predicted=facts["predicted"],
                regions=facts["regions"],
                relevance=arrays.get("relevance"),
                picture=arrays.get("picture"),
            )
        except _DAMAGE as error:
            raise _damaged(file, error) from error

    def forget(self, number: int) -> None:
        """Remove what is kept of a scan, whose pictures will be drawn anew."""
        self._file(number).unlink(missing_ok=True)

    def add(self, number: int, made: Made) -> None:
        """Keep what is left of a map whose pictures are written."""
        path, label = made.row["path"], made.row["class"]
        row = {name: v for name, v in made.row.items() if name not in _OF_SCAN}
        facts = {
            "about": self._key(path, label),
            "row": row,
            "predicted": made.predicted,
            "regions": made.regions,
        }
        arrays: dict[str, Any] = {
            "facts": np.array(json.dumps(facts, allow_nan=False)),
            "relevance": made.relevance,
            "picture": made.picture,
        }
        found = {name: one for name, one in arrays.items() if one is not None}
        with (
            replacing(self._file(number)) as aside,
            aside.open("wb") as file,
        ):
            np.savez_compressed(file, **found)

    def _file(self, number: int) -> Path:
        return self._out / FOLDER / f"{number:04}.npz"

    def _facts(self, file: Path) -> tuple[dict[str, Any], str]:
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as told:
                facts = json.loads(str(told["facts"]))
            return facts["row"], facts["about"]
        except _DAMAGE as error:
            raise _damaged(file, error) from error

    def _key(self, path: str, label: str) -> str:
        scan = [key_of(path), stamp_of(path, self._places), label]
        return fingerprint([*self._about, *scan])


def _damaged(file: Path, error: Exception) -> DataError:
    return DataError(f"{file}: is damaged ({error}); remove it")
