"""The folder needed to predict: weights, what they are, and how scans are prepared.

``model.safetensors`` and ``config.json`` are written and checked by
``models.weights.native``; beside them stand ``preprocessing.json``, a model card and,
once the training is over, ``calibration.json`` (see ``evaluation.calibrated``) and
``likeness.json`` (see ``preparation.likeness``).
None of them holds a path or a participant.

Shapes: ``f`` models that answer together, ``m`` rows, ``k`` classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from vit_dementia import DISCLAIMER, __version__
from vit_dementia.errors import CheckpointError
from vit_dementia.evaluation.calibrated import Calibration
from vit_dementia.files import (
    is_intact,
    read_json,
    replacing_folder,
    sealed,
    write_json,
    write_text,
)
from vit_dementia.models.description import Architecture
from vit_dementia.models.lora import merged_state
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.models.weights import native
from vit_dementia.preparation.likeness import Likeness
from vit_dementia.preparation.spec import Preprocessing, preprocessing_from

PREPROCESSING = "preprocessing.json"
CALIBRATION = "calibration.json"
LIKENESS = "likeness.json"


@dataclass(frozen=True)
class SavedModel:
    """A model folder, read and checked.

    Attributes:
        network: in evaluation mode.
        classes: in the order of the logits.
        ordered: the classes are in order of severity.
        preprocessing: what makes a scan its input.
        facts: what is known of its training, such as ``leakage`` and ``seed``.
        calibration: how its probabilities are mended and read.
        sha256: of the weights; names the model in every answer.
        likeness: what its training slices looked like; None: nobody kept it.
    """

    network: VisionTransformer
    classes: tuple[str, ...]
    ordered: bool
    preprocessing: Preprocessing
    facts: dict[str, Any]
    calibration: Calibration
    sha256: str
    likeness: Likeness | None = None

    @property
    def members(self) -> tuple[SavedModel, ...]:
        """The models that answer: this one."""
        return (self,)

    @property
    def weighs_slices(self) -> bool:
        """Say whether the slices of a visit count as attention says, and not alike."""
        return self.network.architecture.slice_attention > 0

    def answers(self, told: Float[np.ndarray, "f m k"]) -> list[str | None]:
        """Say "yes", "no" or "not sure" of mended probabilities; None: no line."""
        return self.calibration.answers(told[0])

    def sets(self, told: Float[np.ndarray, "f m k"]) -> Bool[np.ndarray, "m k"] | None:
        """Return the classes that cannot be ruled out; None where sets are unknown."""
        return self.calibration.kept(told[0])


def write_model_folder(
    folder: Path,
    network: VisionTransformer,
    *,
    classes: Sequence[str],
    ordered: bool,
    preprocessing: Preprocessing,
    facts: Mapping[str, Any],
) -> None:
    """Write the model folder whole: a crash leaves the one before or none."""
    with replacing_folder(folder) as aside:
        native.save(
            merged_state(network),
            network.architecture,
            classes,
            aside,
            mean=(preprocessing.mean,) * preprocessing.channels,
            std=(preprocessing.std,) * preprocessing.channels,
            training={"ordered": ordered, **facts},
        )
        write_json(aside / PREPROCESSING, sealed(preprocessing.to_dict()))
        write_text(aside / "README.md", _card(network, classes, facts))


def read_model_folder(path: Path) -> SavedModel:
    """Open a model folder, or the one of a run.

    Raises:
        CheckpointError: if a piece is missing, damaged or of another format.
    """
    folder = find_model_folder(path)
    weights = native.read(folder)
    config = read_json(folder / native.CONFIG, CheckpointError)
    assert weights.classes is not None  # native.read needs a name for each output
    if not weights.classes:
        raise CheckpointError(
            f"{path}: was pre-trained without labels and tells no classes; needs to be "
            f"fine-tuned: vit-dementia train DATA --init {path}"
        )
    training = dict(config.get("training", {}))
    preprocessing = read_preprocessing(folder)
    _refuse_other_size(preprocessing, weights.architecture, folder)
    calibration = _read_calibration(folder, weights.classes, config["sha256"])
    return SavedModel(
        network=weights.build().eval(),
        classes=weights.classes,
        ordered=bool(training.pop("ordered", False)),
        preprocessing=preprocessing,
        facts=training,
        calibration=calibration,
        sha256=config["sha256"],
        likeness=_read_likeness(folder, config["sha256"]),
    )


def read_preprocessing(folder: Path) -> Preprocessing:
    """Read how a model folder prepares scans.

    Raises:
        CheckpointError: if the file is missing, damaged or of another format.
    """
    from pydantic import TypeAdapter, ValidationError  # slow to import

    where = folder / PREPROCESSING
    told = _read_sealed(where)
    try:
        read = preprocessing_from(told)
        content = json.dumps(asdict(read), allow_nan=False)
        TypeAdapter(type(read)).validate_json(content, strict=True)
    except ValidationError as error:
        faults = [f"{f['loc'][0]}: {f['msg']}" for f in error.errors() if f["loc"]]
        raise CheckpointError(f"{where}: is damaged ({'; '.join(faults)})") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{where}: is damaged ({error})") from error
    return read


def _refuse_other_size(
    preprocessing: Preprocessing, architecture: Architecture, folder: Path
) -> None:
    """Refuse files of two models, before anything is made as large as one says."""
    made, needed = tuple(preprocessing.size), architecture.image_size
    if (made, preprocessing.channels) != (needed, architecture.channels):
        raise CheckpointError(
            f"{folder / PREPROCESSING}: makes scans of {list(made)} with "
            f"{preprocessing.channels} channel(s), and the network reads {list(needed)}"
            f" with {architecture.channels}; copy the whole folder again"
        )


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write ``calibration.json`` into a model folder, or the one of a run."""
    folder = find_model_folder(path)
    config = read_json(folder / native.CONFIG, CheckpointError)
    content = calibration.to_dict(model=config["sha256"])
    write_json(folder / CALIBRATION, sealed(content))


def write_likeness(path: Path, likeness: Likeness) -> None:
    """Write ``likeness.json`` into a model folder, or the one of a run."""
    folder = find_model_folder(path)
    config = read_json(folder / native.CONFIG, CheckpointError)
    write_json(folder / LIKENESS, sealed(likeness.to_dict(model=config["sha256"])))


def _read_likeness(folder: Path, sha256: str) -> Likeness | None:
    path = folder / LIKENESS
    if not path.is_file():
        return None
    return Likeness.from_dict(_read_sealed(path), model=sha256, where=str(path))


def is_calibrated(path: Path) -> bool:
    """Say whether a model folder, or the one of a run, has a ``calibration.json``."""
    return (find_model_folder(path) / CALIBRATION).is_file()


def _read_calibration(folder: Path, classes: Sequence[str], sha256: str) -> Calibration:
    """Read ``calibration.json``; without one, nothing is mended.

    Raises:
        CheckpointError: if it is damaged or belongs to other weights.
    """
    path = folder / CALIBRATION
    if not path.is_file():
        return Calibration.none(tuple(classes), "the model was never calibrated")
    told = read_json(path, CheckpointError)
    calibration = Calibration.from_dict(told, where=str(path))
    if told.get("model") != sha256 or calibration.classes != tuple(classes):
        raise CheckpointError(
            f"{path}: belongs to other weights than {native.WEIGHTS} beside it; remove "
            "it to predict without a calibration"
        )
    _read_sealed(path)
    return calibration


def _read_sealed(path: Path) -> Any:
    """Return a JSON file of the folder without the hash in it, which must fit.

    Raises:
        CheckpointError: if the file is missing, no JSON, or was changed.
    """
    told = read_json(path, CheckpointError)
    if not isinstance(told, dict):
        raise CheckpointError(f"{path}: found no JSON object; needs one")
    if not is_intact(told):
        raise CheckpointError(
            f"{path}: does not fit the hash in it; the file was changed or damaged; "
            "copy the whole folder again"
        )
    return {name: value for name, value in told.items() if name != "hash"}


def leak_allowed(path: Path) -> str:
    """Return why a model was trained across a leak; "" if not, or if it is not ours."""
    for folder in (path, path / "model"):
        if (folder / native.CONFIG).is_file():
            told = read_json(folder / native.CONFIG, CheckpointError)
            training = told.get("training") if isinstance(told, dict) else None
            if isinstance(training, dict):
                return str(training.get("allow_leakage", ""))
    return ""


def find_model_folder(path: Path) -> Path:
    """Return ``path`` if it is a model folder, or its ``model`` if it is a run.

    Raises:
        CheckpointError: if it is neither, such as a cross-validation.
    """
    for folder in (path, path / "model"):
        if (folder / native.WEIGHTS).is_file():
            return folder
    if (path / "folds").is_dir():
        raise CheckpointError(
            f"{path}: is a cross-validation, with a model in each fold and none of its "
            "own; needs one model: train a run for it, or name a fold, such as "
            f"{path / 'folds' / '0'}"
        )
    raise CheckpointError(
        f"{path}: found no {native.WEIGHTS}; needs a run folder or its model folder"
    )


def _card(
    network: VisionTransformer, classes: Sequence[str], facts: Mapping[str, Any]
) -> str:
    """Return the model card, with the YAML head that model hubs read."""
    a = network.architecture
    lines = [
        "---",
        "library_name: vit-dementia",
        "pipeline_tag: image-classification",
        "tags: [brain-mri, dementia, vision-transformer]",
        "---",
        "",
        "# Vision Transformer for brain MRI",
        "",
        f"{DISCLAIMER}",
        "",
        "## Model",
        "",
        f"- Written by vit-dementia {__version__}.",
        f"- {a.depth} blocks, width {a.embed_dim}, {a.num_heads} heads, patches of "
        f"{' x '.join(map(str, a.patch_size))} on {' x '.join(map(str, a.image_size))} "
        f"pixels, {a.channels} channel(s).",
        f"- Classes, in the order of the logits: {json.dumps(list(classes))}.",
        *(
            ["- Slices of a visit are pooled by attention."]
            if a.slice_attention
            else []
        ),
        "",
        "## Training",
        "",
        *(f"- {name}: {value}" for name, value in facts.items() if value != ""),
        "",
        "## Intended use and limits",
        "",
        "Research on brain MRI like the scans it was trained on. It was not tested on "
        "other scanners, other preparation or other populations, and no answer of it "
        "may reach a patient. How good it is stands in the evaluation of its run.",
    ]
    return "\n".join(lines) + "\n"
