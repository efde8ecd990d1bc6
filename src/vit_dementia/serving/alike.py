"""Cases like a scan, as the page lists them: nobody is named.

A case is told by its line in the table of the run's cohort, which says who it is to
whoever has that table, and to nobody else. Its scan is shown only where whoever started
the server said that the data's license and the participants' consent allow it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vit_dementia import DISCLAIMER
from vit_dementia.errors import ConfigError
from vit_dementia.inference.compute import Device, make_fabric
from vit_dementia.inference.folds import SavedFolds
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.progress import Quiet
from vit_dementia.serving.shown import slice_as_png
from vit_dementia.workflows.explain_cases import Case, Cases, cases_of
from vit_dementia.workflows.seen import see

FORMAT = 1
"""of the answer to ``POST /v1/cases``"""
_FIRST_LINE = 2  # as editors count, below the header


@dataclass(frozen=True, kw_only=True)
class Offered:
    """What is offered besides the answer.

    Attributes:
        cases: how many training participants most like a scan; 0: none.
        show_scans: whether their scans may be shown.
    """

    cases: int = 0
    show_scans: bool = False

    def to_dict(self) -> dict[str, Any] | None:
        """Return what the page is told of it; None: cases are not offered.

        >>> Offered(cases=3).to_dict(), Offered().to_dict()
        ({'count': 3, 'scans_shown': False}, None)
        """
        if not self.cases:
            return None
        return {"count": self.cases, "scans_shown": self.show_scans}


NOTHING = Offered()


def find_cases(
    run: Path, model: SavedModel | SavedFolds, offered: Offered, device: Device
) -> Cases | None:
    """Return what finds the cases that are offered; None: none are.

    Raises:
        ConfigError: as `cases_of`, or if several models answer together.
        CheckpointError: as `cases_of`.
    """
    if isinstance(model, SavedFolds):
        if offered.cases:
            raise ConfigError(
                f"--cases: {run} is a cross-validation of several models, whose "
                "features are not one; serve one fold"
            )
        return None
    return cases_of(
        run,
        model,
        count=offered.cases,
        show_scans=offered.show_scans,
        device=device,
        watch=Quiet(),
    )


def told_of_cases(
    cases: Cases, model: SavedModel, scan: Path, device: Device
) -> dict[str, Any]:
    """Return the answer to ``POST /v1/cases``.

    Who is on the scan is not asked, so that a scan of the training finds itself.

    Raises:
        ScanError: where ``predict`` would refuse the scan.
    """
    target = make_fabric(device, "fp32").device
    model.network.to(target)
    found = cases.like(see(model, scan, target).feature())
    return {
        "format": FORMAT,
        "cases": [_told(cases, one) for one in found],
        "disclaimer": DISCLAIMER,
    }


def _told(cases: Cases, one: Case) -> dict[str, Any]:
    picture = cases.picture_of(one) if cases.show_scans else None
    return {
        "label": one.label,
        "distance": one.distance,
        "line": one.line + _FIRST_LINE,
        "picture": None
        if picture is None
        else base64.b64encode(slice_as_png(picture)).decode("ascii"),
    }
