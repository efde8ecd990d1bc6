"""The models of a cross-validation, which answer together for somebody new.

Shapes: ``f`` models, ``m`` rows to answer for, ``k`` classes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from vit_dementia.errors import CheckpointError
from vit_dementia.evaluation.calibrated import Calibration
from vit_dementia.evaluation.crossed import Crossed
from vit_dementia.files import is_intact, read_json, sealed, write_json
from vit_dementia.inference.model_folder import SavedModel, read_model_folder

CROSSED = "crossed.json"


@dataclass(frozen=True)
class SavedFolds:
    """The models of one repetition of a cross-validation, read and checked.

    Attributes:
        members: the model of each fold.
        crossed: how they answer together.
    """

    members: tuple[SavedModel, ...]
    crossed: Crossed

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the logits, the same of all."""
        return self.crossed.classes

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the training of the first; all were trained alike."""
        return self.members[0].facts

    @property
    def calibration(self) -> Calibration:
        """How the answers come about, in the words of one model."""
        return self.crossed.calibration

    @property
    def sha256(self) -> str:
        """A hash of the hashes of all weights; names the models in every answer."""
        every = "".join(model.sha256 for model in self.members)
        return hashlib.sha256(every.encode()).hexdigest()

    def answers(self, told: Float[np.ndarray, "f m k"]) -> list[str | None]:
        """Say "yes", "no" or "not sure" of mended probabilities; None: no line."""
        return self.crossed.answers(told)

    def sets(self, told: Float[np.ndarray, "f m k"]) -> Bool[np.ndarray, "m k"] | None:
        """Return the classes that cannot be ruled out; None where sets are unknown."""
        return self.crossed.sets(told)


def read_models(path: Path) -> SavedModel | SavedFolds:
    """Open a run, its model folder, or a cross-validation with all its models.

    Raises:
        CheckpointError: if a piece is missing, damaged or of another format, or if a
            cross-validation is not finished.
    """
    if not (path / "folds").is_dir():
        return read_model_folder(path)
    where = path / CROSSED
    if not where.is_file():
        raise CheckpointError(
            f"{path}: is a cross-validation without {CROSSED}, so it is not finished; "
            f"go on with it (vit-dementia cross-validate --resume {path}), or name a "
            f"fold, such as {path / 'folds' / '0'}"
        )
    told = read_json(where, CheckpointError)
    crossed = Crossed.from_dict(told, where=str(where))
    if not is_intact(told):
        raise CheckpointError(
            f"{where}: does not fit the hash in it; the file was changed or damaged; "
            f"make it anew: vit-dementia cross-validate --resume {path}"
        )
    members = tuple(
        read_model_folder(path / "folds" / str(fold.fold)) for fold in crossed.folds
    )
    faults = [
        f"{path / 'folds' / str(fold.fold)}: {what} than {where} was made with; needs "
        "the models of the cross-validation as it left them"
        for fold, model in zip(crossed.folds, members, strict=True)
        for what, differs in (
            ("holds other weights", model.sha256 != fold.model),
            ("has other classes", model.classes != crossed.classes),
        )
        if differs
    ]
    if not members:
        faults.append(f"{where}: names no fold; needs one or more")
    if faults:
        raise CheckpointError.of(faults)
    return SavedFolds(members, crossed)


def write_crossed(path: Path, crossed: Crossed) -> None:
    """Write how the models of a cross-validation answer together into its folder."""
    write_json(path / CROSSED, sealed(crossed.to_dict()))
