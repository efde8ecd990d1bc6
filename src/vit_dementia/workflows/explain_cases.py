"""Cases like this: which training participants the network takes for alike.

Shapes: d numbers of a feature, ``h w`` pixels.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.named import AS_NAMED, Places
from vit_dementia.data.participants import canonical_participant
from vit_dementia.errors import CheckpointError, ConfigError, ScanError
from vit_dementia.explanation.cases import nearest
from vit_dementia.explanation.overlay import Tile, draw_tiles
from vit_dementia.files import write_bytes
from vit_dementia.inference.compute import Device, make_fabric
from vit_dementia.inference.features import FILE, Features, features_of_scans
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.preparation.glance import glance
from vit_dementia.progress import Watch
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.explain import Explanation
from vit_dementia.workflows.scoring import read_run

CASE = ("participant_id", "label", "distance")
_NOTE = (
    "nearest training participants by what the network's head reads; alike to it, and"
    " perhaps to nobody else"
)


@dataclass(frozen=True)
class Case:
    """A training participant.

    Attributes:
        participant_id: as in the cohort.
        distance: of the scan that is most like the one asked about; 0 is alike.
        line: of that scan in the table of the cohort, from 0, without the header.
    """

    participant_id: str
    label: str
    distance: float
    line: int


@dataclass(frozen=True)
class Cases:
    """Finds training participants whose scans are most like one that is explained.

    Attributes:
        features: of the training scans.
        cohort: of the run.
        count: how many participants.
        show_scans: draw their scans too.
        places: where scans lie that are named by their place in an archive.
    """

    features: Features
    cohort: Cohort
    count: int
    show_scans: bool
    places: Places = AS_NAMED

    def like(
        self, feature: Float32[np.ndarray, " d"], *, asked: str = UNKNOWN
    ) -> list[Case]:
        """Return the cases like a scan, the most like first.

        Args:
            feature: of the scan, see ``workflows.seen``.
            asked: the participant on it, who is no case of their own.
        """
        table = self.cohort.table.iloc[self.features.lines]
        people = table["participant_id"].tolist()
        found = nearest(
            feature,
            self.features.values,
            # Where nobody is known, each scan is a case.
            [f"\0{i}" if who == UNKNOWN else who for i, who in enumerate(people)],
            count=self.count,
            leave_out=None if asked == UNKNOWN else canonical_participant(asked),
        )
        return [
            Case(
                people[scan],
                str(table["label"].iloc[scan]),
                distance,
                int(self.features.lines[scan]),
            )
            for scan, distance in found
        ]

    def picture_of(self, case: Case) -> Float32[np.ndarray, "h w"] | None:
        """Return a slice of a case's scan; None if it can no longer be read."""
        assert self.show_scans
        return _glance(self.cohort.file_of(case.line))

    def write(self, out: Path, number: int, one: Explanation) -> dict[str, Any]:
        """Return the cases like a scan; draw them where scans may be shown.

        Args:
            out: the folder of the maps.
            number: of the scan, in the names of its files.
            one: the scan, explained.
        """
        assert one.feature is not None  # explain_scans gives every scan one
        found = self.like(one.feature, asked=one.participant_id)
        cases = [{name: getattr(case, name) for name in CASE} for case in found]
        if not self.show_scans:
            return {"cases": cases, "cases_picture": ""}
        name = f"{number:04}-cases.png"
        tiles = [_tile(_glance(self.places.file_of(one.path)), "this scan")]
        for case in found:
            caption = f"{case.label}\ndistance {case.distance:.3f}"
            tiles.append(_tile(self.picture_of(case), caption))
        told = Counter(case.label for case in found).most_common()
        title = "cases like this: " + ", ".join(f"{n} {label}" for label, n in told)
        write_bytes(out / name, draw_tiles(tiles, title=title, note=_NOTE))
        return {"cases": cases, "cases_picture": name}


def cases_of(
    run: Path,
    model: SavedModel,
    *,
    count: int,
    show_scans: bool,
    device: Device,
    watch: Watch,
    places: Places = AS_NAMED,
) -> Cases | None:
    """Return what finds cases in a run; None if nobody asked for any.

    The first to ask waits until the training scans are read once; what the network
    makes of them is then kept in the run folder.

    Raises:
        ConfigError: if the count is below zero, scans are to be shown of no cases, or
            the training scans are needed and not where the run found them.
        CheckpointError: if this is no run folder, or what it keeps is damaged.
    """
    if count < 0:
        raise ConfigError(f"--cases: found {count}; needs a number of participants")
    if not count:
        if show_scans:
            raise ConfigError(
                "--show-scans: draws the scans of cases like this; needs --cases N"
            )
        return None
    if not (run / "cohort.tsv").is_file():
        raise CheckpointError(
            f"--cases: {run} does not know its training participants; needs the run"
            " folder, not its model folder"
        )
    folder = RunFolder.open(run)
    cohort = folder.cohort()
    is_kept = (run / FILE).is_file()
    if (show_scans or not is_kept) and not cohort.root.is_dir():
        raise ConfigError(
            f"--cases: the training scans are no longer at {cohort.root}, and"
            f" {'--show-scans draws' if is_kept else f'{run / FILE} needs'} them; put"
            f" them back{', or leave it out' if is_kept else ''}"
        )
    if not is_kept:
        _keep_features(folder, device, watch)
    features = Features.read(run, model=model.sha256, num_lines=len(cohort))
    return Cases(features, cohort, count, show_scans, places)


def _keep_features(run: RunFolder, device: Device, watch: Watch) -> None:
    """Write what the run's model makes of its training scans.

    Raises:
        CheckpointError: if its features are no numbers.
    """
    watch.say(f"looking once at the training scans of {run.path}; it is kept")
    reading = read_run(run, device=device, watch=watch)
    paths = run.cohort().table["path"].tolist()
    line_of = {path: line for line, path in reversed([*enumerate(paths)])}
    rows = reading.rows("train")
    lines = [line_of[path] for path in reading.cohort.table["path"].iloc[rows]]
    network = reading.model.network.to(make_fabric(device, "fp32").device)
    values = features_of_scans(
        network,
        reading.images,
        rows,
        np.array(lines, np.int64),
        reading.model.preprocessing,
    )
    if not np.isfinite(values).all():
        raise CheckpointError(f"{run.path}: its network's features are not finite")
    Features(values, np.unique(lines)).write(run.path, model=reading.model.sha256)


def _glance(file: Path) -> Float32[np.ndarray, "h w"] | None:
    try:
        return glance(file)
    except ScanError:
        return None


def _tile(picture: Float32[np.ndarray, "h w"] | None, caption: str) -> Tile:
    unread = "" if picture is not None else "\n(can no longer be read)"
    return Tile(picture, f"{caption}{unread}")
