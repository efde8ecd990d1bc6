"""Maps of the examples of a report."""

from __future__ import annotations

from pathlib import Path

from vit_dementia.errors import ConfigError, RefusedError, ScanError
from vit_dementia.explanation.gradients import need_captum
from vit_dementia.explanation.overlay import blend
from vit_dementia.inference.compute import Device
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.workflows.explain import Asked, explain_scans
from vit_dementia.workflows.report.examples import ExplainOne, Mapped
from vit_dementia.workflows.report.options import ReportOptions


def refuse_hidden_maps(options: ReportOptions | None) -> None:
    """Refuse, before anything is computed, maps that could not be drawn.

    Raises:
        ConfigError: if no scan may be shown, or what draws maps is not installed.
    """
    if options is None or not options.show_scans:
        raise ConfigError(
            "--explain: draws maps on pictures of scans, and none may be shown; needs "
            "--show-scans too, if the data's license and consent allow it"
        )
    need_captum()


def explain_as(model: SavedModel, device: Device = "auto") -> ExplainOne:
    """Return what maps one scan for a given class by the default method."""

    def explain_one(path: Path, label: str) -> Mapped:
        (found,) = explain_scans(model, [path], Asked(label=label), device=device)
        if isinstance(found, RefusedError):  # its words name a path
            return Mapped({"said": "no map: predict would refuse the scan"})
        if isinstance(found, ScanError):
            return Mapped({"said": "no map: the scan can no longer be read"})
        facts = {
            "method": found.method,
            "class": found.label,
            "faithful": found.faithfulness.is_faithful,
            "outside_head": found.outside_head,
            "said": found.sentence(),
        }
        return Mapped(facts, blend(found.views[0]))

    return explain_one
