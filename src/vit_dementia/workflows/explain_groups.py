"""Mean maps of participants and of groups of them.

Maps are added where all scans lie alike: of slices as the network reads them, of
volumes on the grid of the template. Each is scaled to its own largest value before, and
each participant counts once in a group, whatever the number of their scans.

Shapes: ``space`` the sides of what is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from vit_dementia.data.participants import Identity
from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.explanation.methods import Method
from vit_dementia.explanation.overlay import View, draw, planes
from vit_dementia.explanation.regions import (
    Template,
    by_region,
    load_template,
)
from vit_dementia.files import write_bytes
from vit_dementia.workflows.explain_made import Made

EVERYBODY = "all"
_NOTE = "each scan's map scaled to its own largest; each participant counts once"
_SPACING = (2.0, 2.0, 2.0)  # of the template's grid


@dataclass
class _Sum:
    """The maps of one participant for one class.

    Attributes:
        who: the participant, or the path where nobody is known.
    """

    who: str
    participant_id: str
    label: str
    is_right: bool
    relevance: Float32[np.ndarray, "*space"]
    picture: Float32[np.ndarray, "*space"] | None
    num_scans: int = 0
    num_faithful: int = 0

    @property
    def mean(self) -> Float32[np.ndarray, "*space"]:
        return self.relevance / self.num_scans


@dataclass
class Groups:
    """Adds up maps as they come, and writes the means.

    Args:
        method: that draws them.
        truth: the class of participants, as far as known.
    """

    method: Method
    truth: dict[str, str] = field(default_factory=dict)
    _sums: dict[tuple[str, str], _Sum] = field(default_factory=dict)

    def add(self, made: Made) -> None:
        """Add one map, if it lies as others do."""
        if made.relevance is None:
            return
        label, participant_id = made.row["class"], made.row["participant_id"]
        known = participant_id != Identity().participant_id
        who = participant_id if known else made.row["path"]
        told = {label, made.predicted}
        found = self._sums.setdefault(
            (who, label),
            _Sum(
                who=who,
                participant_id=participant_id,
                label=label,
                is_right=told == {self.truth.get(who, "")},
                relevance=np.zeros_like(made.relevance),
                picture=None if made.picture is None else np.zeros_like(made.picture),
            ),
        )
        found.relevance += made.relevance
        if made.picture is not None and found.picture is not None:
            found.picture += made.picture
        found.num_scans += 1
        found.num_faithful += made.row["faithful"]

    def write(self, out: Path) -> dict[str, Any]:
        """Write the means of two scans or more; return what the document says."""
        people = [one for one in self._sums.values() if one.num_scans > 1]
        participants = [
            {
                "participant_id": one.participant_id,
                "class": one.label,
                **self._write(out / f"participant-{number:04}", [one]),
            }
            for number, one in enumerate(people, 1)
        ]
        groups = []
        for number, (name, members) in enumerate(self._groups()):
            stem = "group" if name == EVERYBODY else f"group-{number:02}"
            groups.append({"name": name, **self._write(out / stem, members)})
        return {"participants": participants, "groups": groups}

    def _groups(self) -> Iterable[tuple[str, list[_Sum]]]:
        everybody = list(self._sums.values())
        labels = sorted({one.label for one in everybody})
        named = {EVERYBODY: everybody}
        named |= {
            label: [one for one in everybody if one.label == label] for label in labels
        }
        named |= {
            f"{label}, told right": [
                one for one in everybody if one.label == label and one.is_right
            ]
            for label in labels
        }
        return [
            (name, members)
            for name, members in named.items()
            if sum(one.num_scans for one in members) > 1
        ]

    def _write(self, stem: Path, members: Sequence[_Sum]) -> dict[str, Any]:
        """Write the mean of some participants; each counts once."""
        mean = np.mean([one.mean for one in members], axis=0)
        num_scans = sum(one.num_scans for one in members)
        volume, shares = "", None
        if mean.ndim == 2:
            pictures = [
                one.picture / one.num_scans
                for one in members
                if one.picture is not None
            ]
            views = [View(np.mean(pictures, axis=0), mean)]
        else:
            template = load_template()
            views = planes(template.picture, mean, _SPACING)
            shares, volume = self._write_volume(stem, mean, template)
        people = len({one.who for one in members})
        title = f"mean of {num_scans} scans · {self.method}"
        write_bytes(stem.with_suffix(".png"), draw(views, title=title, note=_NOTE))
        return {
            "num_participants": people,
            "num_scans": num_scans,
            "num_faithful": sum(one.num_faithful for one in members),
            "picture": f"{stem.name}.png",
            "volume": volume,
            "regions": shares,
        }

    def _write_volume(
        self, stem: Path, mean: Float[np.ndarray, "x y z"], template: Template
    ) -> tuple[list[dict[str, Any]], str]:
        laid = Volume(mean.astype(np.float32), template.affine)
        name = f"{stem.name}.nii.gz"
        write_volume(stem.with_name(name), laid, space="template")
        return [asdict(one) for one in by_region(laid, template)], name
