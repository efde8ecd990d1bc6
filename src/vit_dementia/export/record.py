"""What a file of another runtime says of the model in it, as text by name.

Every format carries it, so that the file alone tells how a scan becomes its input, what
its outputs stand for and what it must not be used for. No paths, no participants.
"""

from __future__ import annotations

import json
from typing import Any

from vit_dementia import DISCLAIMER, __version__
from vit_dementia.inference.model_folder import SavedModel

INPUT, OUTPUT, SCORE = "images", "logits", "slice_score"


def record_of(model: SavedModel) -> dict[str, str]:
    """Return the texts: values that are no text are JSON."""
    values: dict[str, Any] = {
        "classes": list(model.classes),
        "ordered": model.ordered,
        "preprocessing": model.preprocessing.to_dict(),
        "calibration": model.calibration.to_dict(model=model.sha256),
        "visible_patches": model.network.architecture.visible,
        "allow_leakage": model.facts.get("allow_leakage", ""),
    }
    return {
        "written_by": f"vit-dementia {__version__}",
        "model_sha256": model.sha256,
        "input": (
            f"{INPUT}: prepared scans as 8-bit values divided by 255, less the mean and"
            " divided by the standard deviation in preprocessing; float32, any number"
            f" of {list(shape_of(model))}"
        ),
        "output": f"{OUTPUT}: float32, one for each class; softmax, then calibration",
        "disclaimer": DISCLAIMER,
        **_second_output(model),
        **{name: json.dumps(value) for name, value in values.items()},
    }


def outputs_of(model: SavedModel) -> list[str]:
    """Return the names of the outputs, in order."""
    return [OUTPUT, *_second_output(model)]


def _second_output(model: SavedModel) -> dict[str, str]:
    if not model.weighs_slices:
        return {}
    return {
        SCORE: "float32, one for each scan; the softmax of scores over a visit's slices"
        " says how much each counts in the mean of their probabilities"
    }


def shape_of(model: SavedModel) -> tuple[int, ...]:
    """Return channels and sides of one input."""
    a = model.network.architecture
    return (a.channels, *a.image_size)
