"""What stands beside a prepared volume: how it was made, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vit_dementia import __version__
from vit_dementia.errors import ScanError
from vit_dementia.files import read_json
from vit_dementia.preparation.checked import Checked
from vit_dementia.preparation.pipeline import Pipeline
from vit_dementia.preparation.templates import CLINICA, CLINICA_SHA256, load_template
from vit_dementia.quality.verdict import Quality, Reason

FORMAT = 1
_OWN = "Preparation"  # what is ours in a sidecar of BIDS


def sidecar_of(path: Path) -> Path:
    """Return the name of the JSON file beside a volume.

    >>> sidecar_of(Path("sub-1_T1w.nii.gz")).name
    'sub-1_T1w.json'
    """
    return path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")


def record_of(checked: Checked, pipeline: Pipeline, *, content: str) -> dict[str, Any]:
    """Return the sidecar of a prepared volume; it names nobody and no path.

    Args:
        checked: what was made.
        pipeline: how.
        content: SHA-256 of the scan.
    """
    prepared = checked.prepared
    assert prepared is not None
    way = prepared.scan_of_template
    return {
        "SkullStripped": pipeline.skull_strip,
        "GeneratedBy": [{"Name": "vit-dementia", "Version": __version__}],
        _OWN: {
            "Format": FORMAT,
            "Key": pipeline.key(content),
            "Facts": pipeline.facts(),
            "Steps": list(prepared.steps),
            "Template": load_template(pipeline.template).facts(),
            "ScanOfTemplate": None if way is None else way.tolist(),
            "Quality": {
                **checked.quality.to_dict(),
                "measures": dict(checked.quality.measures),
            },
        },
    }


def recorded(path: Path) -> Mapping[str, Any] | None:
    """Return what the sidecar of a volume tells of its preparation; None if nothing.

    Raises:
        ScanError: if the sidecar cannot be read, or is of another format.
    """
    sidecar = sidecar_of(path)
    if not sidecar.is_file():
        return None
    told = read_json(sidecar, ScanError)
    if not isinstance(told, dict) or _OWN not in told:
        return None
    own = told[_OWN]
    if not isinstance(own, dict) or own.get("Format") != FORMAT:
        raise ScanError(
            f"{sidecar}: a preparation of format {FORMAT} is needed; prepare it anew"
        )
    return own


def quality_in(own: Mapping[str, Any]) -> Quality:
    """Return the verdict that a sidecar holds."""
    told = own["Quality"]
    reasons = tuple(
        Reason(code=code, verdict=verdict, text=text)
        for code, verdict, text in zip(
            told["codes"], told["verdicts"], told["reasons"], strict=True
        )
    )
    return Quality(reasons=reasons, measures=told["measures"])


def faults_against(
    needed: Mapping[str, Any], found: Mapping[str, Any] | None
) -> str | None:
    """Say how a volume's preparation differs from what a model was trained on.

    Args:
        needed: ``Pipeline.facts`` that the model was trained on.
        found: the same of the volume; None if it was not prepared.

    >>> none = Pipeline(pipeline="none").facts()
    >>> faults_against(none, none) is None
    True
    >>> faults_against(none, none | {"spacing_mm": 2.0}).split(";")[0]
    'prepared with spacing_mm 2.0 where the model needs None'
    """
    redo = f"vit-dementia prepare DATA OUT --pipeline {needed['pipeline']}"
    if needed["spacing_mm"] is not None:
        redo += f" --spacing-mm {needed['spacing_mm']:g}"
    if needed["skull_strip"]:
        redo += " --skull-strip"
    if needed["intensity"] != "as-is":
        redo += f" --intensity {needed['intensity']}"
    if needed["template"] == CLINICA_SHA256:
        redo += f" --template {CLINICA}"
    if found is None:
        return f"not prepared as the model needs it; do it: {redo}"
    differing = [
        f"{name} {found.get(name)} where the model needs {value}"
        for name, value in needed.items()
        if found.get(name) != value
    ]
    return (
        f"prepared with {', '.join(differing)}; redo it: {redo}" if differing else None
    )
