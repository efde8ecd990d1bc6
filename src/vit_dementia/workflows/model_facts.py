"""What whoever reads an answer has to know of the model behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vit_dementia import DISCLAIMER
from vit_dementia.errors import DataError
from vit_dementia.files import read_json
from vit_dementia.inference.answer import trained_on
from vit_dementia.inference.folds import SavedFolds
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.workflows.report.study import OUT_OF_FOLD

_PARTS = ("test", OUT_OF_FOLD)


def facts_of(model: SavedModel | SavedFolds, run: Path) -> dict[str, Any]:
    """Return what the page and ``GET /v1/model`` tell of a model, and no path.

    Args:
        model: as read.
        run: where from; its evaluation is told if it stands there.
    """
    calibration = model.calibration
    return {
        "sha256": model.sha256,
        "classes": list(model.classes),
        "trained_on": trained_on(model),
        "positive": list(calibration.positive),
        "scaling": calibration.scaling.method,
        "calibrated_on": calibration.n_participants,
        "allow_leakage": model.facts.get("allow_leakage", ""),
        "evaluation": _evaluation(run),
        "disclaimer": DISCLAIMER,
    }


def _evaluation(run: Path) -> dict[str, Any] | None:
    """Return how good the model is beside its floor, by participant; None: not known.

    Of a cross-validation: how good each fold's model is for whom it never saw.

    Raises:
        DataError: if the evaluation is there and damaged.
    """
    files = {part: run / "evaluation" / part / "metrics.json" for part in _PARTS}
    part, file = next(
        ((part, file) for part, file in files.items() if file.is_file()), ("", run)
    )
    if not part:
        return None
    metrics = read_json(file)
    try:
        above = metrics["above_floor"].get("auroc")
        people = metrics["by_participant"]
        if above is None or people is None:
            return None
        floor = metrics["floors"][above["floor"]]["auroc"]
        return {
            "part": part,
            "question": str(metrics["endpoint"]["words"]),
            "n_participants": int(people["n_participants"]),
            "auroc": _numbers(people["scores"]["auroc"]),
            "floor": str(above["floor"]),
            "floor_auroc": _numbers(floor),
            "verdict": str(above["verdict"]),
        }
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{file}: is damaged ({error}); make it anew: vit-dementia evaluate {run}"
        ) from error


def _numbers(entry: dict[str, Any]) -> dict[str, float | None]:
    told = {name: entry[name] for name in ("value", "low", "high")}
    for name, one in told.items():
        if one is not None and not isinstance(one, int | float):
            raise TypeError(f"{name} is {str(one)[:40]!r}")
    return {name: None if one is None else float(one) for name, one in told.items()}
