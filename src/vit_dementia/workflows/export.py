"""A finished model in the files of another runtime, held to the same answers.

The file is opened with its own runtime and must say of real, prepared scans what
PyTorch says of them; only then is it put where it was asked for.

Shapes: ``n`` scans, ``c`` channels, ``*space`` their sides.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from vit_dementia import DISCLAIMER
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.scans import scans_in
from vit_dementia.errors import CheckpointError, ConfigError, DataError, ScanError
from vit_dementia.export.engines import not_installed
from vit_dementia.export.formats import FORMATS
from vit_dementia.export.record import record_of
from vit_dementia.files import replacing_folder, sha256_of, write_json
from vit_dementia.inference.model_folder import (
    SavedModel,
    find_model_folder,
    read_model_folder,
)
from vit_dementia.models.slice_scores import telling
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.models.weights import read_weights
from vit_dementia.preparation.spec import rows_of
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.convert import convert

FORMAT_VERSION = 1
NATIVE = "native"
AT_ONCE = 32  # scans in memory as tokens
NUM_CHECKED = 8  # scans: one batch
# Of logits, computed in float32 by other kernels; those of a trained network are a few.
LARGEST_DIFFERENCE = 1e-3


@dataclass(frozen=True)
class Exported:
    """What was written, and how nearly it says the same.

    Attributes:
        path: the folder.
        form: of which format.
        num_checked: scans that both were asked about.
        largest_difference: of two logits.
    """

    path: Path
    form: str
    num_checked: int
    largest_difference: float

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON can hold it."""
        return {
            "format": FORMAT_VERSION,
            "written": self.form,
            "scans_checked": self.num_checked,
            "largest_difference_of_logits": self.largest_difference,
            "tolerance": LARGEST_DIFFERENCE,
            "disclaimer": DISCLAIMER,
        }


def export(
    source: Path,
    out: Path,
    form: str,
    *,
    check_on: Sequence[Path] = (),
    all_tokens: bool = False,
) -> Exported:
    """Write a model for another runtime, checked on real scans.

    Args:
        source: a run, or a model folder.
        out: a new folder.
        form: one of ``export.formats.FORMATS``, ``native``, or a layout of weights.
        check_on: scans to check on; by default some that the run was given.
        all_tokens: write a model that reads all patches, in a layout of weights that
            cannot leave any out.

    Raises:
        CheckpointError: if it gives other answers than the model.
        DataError: if there are no scans to check on, or ``out`` is there already.
        ConfigError: if what the format needs is not installed.
    """
    RunFolder.refuse_taken(out)
    if all_tokens and (form in FORMATS or form == NATIVE):
        raise ConfigError(
            f"--all-tokens: found beside --format {form}, which holds the model as it"
            " is; leave it out"
        )
    model = read_model_folder(source)
    scans = checking_scans(source, model, check_on)
    network = model.network.seeing(None) if all_tokens else model.network
    expected = logits_of(network, scans)
    with replacing_folder(out) as aside:
        try:
            if form in FORMATS:
                FORMATS[form].write(model, aside)
                found = FORMATS[form].open(aside)(scans)
            else:
                copy = _copied(source, model, aside, form, all_tokens=all_tokens)
                found = logits_of(copy, scans)
        except ImportError as error:
            raise not_installed(form, error) from error
        difference = float(np.abs(found - expected).max())
        if not difference <= LARGEST_DIFFERENCE:
            raise CheckpointError(
                f"{out}: gives other logits than the model (by {difference:.1e} on "
                f"{len(scans)} scans); needs less than {LARGEST_DIFFERENCE:g}; nothing "
                "was written; report this as a bug"
            )
        done = Exported(out, form, len(scans), difference)
        hashes = {
            file.relative_to(aside).as_posix(): sha256_of(file)
            for file in sorted(aside.rglob("*"))
            if file.is_file()
        }
        told = {**done.to_dict(), "model": record_of(model), "sha256": hashes}
        write_json(aside / "export.json", told)
    return done


def checking_scans(
    source: Path, model: SavedModel, check_on: Sequence[Path]
) -> Float32[np.ndarray, "n c *space"]:
    """Return a few scans as the network reads them: those named, or some of the run's.

    Raises:
        DataError: if there are none that can be read.
    """
    found: list[np.ndarray] = []
    for path in scans_in(check_on) if check_on else _scans_of(source):
        try:
            found.append(model.preprocessing.read(path))
        except ScanError:
            continue  # a scan that cannot be read checks nothing
        if len(found) == NUM_CHECKED:
            break
    if not found:
        raise DataError(
            f"{source}: found no scan to check the export on; needs --check-on with "
            "scans, or folders of them"
        )
    rows = rows_of(model.preprocessing, np.stack(found))[:NUM_CHECKED]
    batch = torch.from_numpy(np.ascontiguousarray(rows))
    return model.preprocessing.normalize(batch).numpy()


def _scans_of(source: Path) -> list[Path]:
    """Return the scans a run was given, spread over them; none for a model folder."""
    if not (source / "cohort.tsv").is_file():
        return []
    files = Cohort.read(source / "cohort.tsv").files()
    spread = files[:: max(1, len(files) // NUM_CHECKED)]
    return [file for file in spread if file.is_file()]


def _copied(
    source: Path, model: SavedModel, folder: Path, form: str, *, all_tokens: bool
) -> VisionTransformer:
    """Write the weights in a layout and return the network that is read back."""
    if form == NATIVE:
        for file in find_model_folder(source).iterdir():
            shutil.copyfile(file, folder / file.name)
        return read_model_folder(folder).network
    done = convert(
        read_weights(find_model_folder(source)),
        folder,
        form,
        all_tokens=all_tokens,
        preprocessing=model.preprocessing,
    )
    return read_weights(done.path, classes=model.classes).build()


def logits_of(network: VisionTransformer, scans: np.ndarray) -> np.ndarray:
    """Return all that a network says; one for colors gets a gray scan three times."""
    channels = network.architecture.channels
    inputs = torch.from_numpy(scans).expand(-1, channels, *scans.shape[2:])
    with torch.inference_mode():
        asked = telling(network).eval()
        parts = [asked(part) for part in inputs.split(AT_ONCE)]
    return torch.cat(parts).numpy()
