"""What a network makes of a scan before its head reads it, and those of its training.

A feature is the vector that the head reads, of a scan of several slices their mean, to
unit length. Those of the training scans stand in the run folder, beside the table of
who they are, as numbers of its lines: no name, no path, no picture. They are as much
somebody's data as that table is; the model folder, which may be given away, has none.

Shapes: ``b`` images, ``n`` rows, ``m`` of them read, ``s`` scans, ``c`` channels,
``d`` numbers of a feature, ``space`` the sides of a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vit_dementia.errors import CheckpointError
from vit_dementia.files import write_bytes
from vit_dementia.inference.forward import BATCH_SIZE
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.preparation.spec import Preprocessing

FILE = "features.safetensors"
FORMAT = "1"


@dataclass(frozen=True, eq=False)
class Features:
    """The features of training scans.

    Attributes:
        values: of unit length.
        lines: of each scan in the run's ``cohort.tsv``, from 0, without the header.
    """

    values: Float[np.ndarray, "s d"]
    lines: Int[np.ndarray, " s"]

    def write(self, run: Path, *, model: str) -> None:
        """Write ``features.safetensors`` into a run folder.

        Args:
            run: the folder.
            model: SHA-256 of the weights that made them.
        """
        import safetensors.numpy

        tensors: dict[str, np.ndarray] = {
            "features": self.values.astype(np.float16),
            "lines": self.lines.astype(np.int64),
        }
        facts = {"format": FORMAT, "model": model}
        write_bytes(run / FILE, safetensors.numpy.save(tensors, facts))

    @classmethod
    def read(cls, run: Path, *, model: str, num_lines: int) -> Features:
        """Read ``features.safetensors`` of a run folder.

        Args:
            run: the folder.
            model: SHA-256 of the weights in it.
            num_lines: of its ``cohort.tsv``.

        Raises:
            CheckpointError: if it is missing, damaged or of other weights.
        """
        import safetensors

        where = run / FILE
        if not where.is_file():
            raise CheckpointError(f"{where}: is not there; explain --cases makes it")
        try:
            with safetensors.safe_open(where, framework="numpy") as file:
                facts = file.metadata() or {}
                values = file.get_tensor("features").astype(np.float32)
                lines = file.get_tensor("lines").astype(np.int64)
        except (safetensors.SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(
                f"{where}: is damaged ({error}); remove it, and it is made anew"
            ) from error
        if facts.get("format") != FORMAT:
            raise CheckpointError(
                f"{where}: found format {facts.get('format')}; needs {FORMAT}"
            )
        if facts.get("model") != model:
            raise CheckpointError(
                f"{where}: belongs to other weights than the model of this run; remove"
                " it, and explain --cases makes it anew"
            )
        is_whole = (
            values.ndim == 2
            and lines.shape == (len(values),)
            and len(values) > 0
            and np.isfinite(values).all()
            and ((lines >= 0) & (lines < num_lines)).all()
        )
        if not is_whole:
            raise CheckpointError(
                f"{where}: is damaged (no feature for each scan); remove it, and it is"
                " made anew"
            )
        return cls(values, lines)


@torch.inference_mode()
def features_of(
    network: VisionTransformer, images: Float[Tensor, "b c *space"]
) -> Float[Tensor, "b d"]:
    """Return what the head reads of each image (y of Eq. 4), in float32."""
    tokens = network.forward_features(images)
    return network.fc_norm(network.pool(tokens)).float().cpu()


def features_of_scans(
    network: VisionTransformer,
    images: UInt8[np.ndarray, "n c *space"],
    rows: Int[np.ndarray, " m"],
    scans: Int[np.ndarray, " m"],
    preprocessing: Preprocessing,
) -> Float[np.ndarray, "s d"]:
    """Return the feature of each scan, in the order of their sorted names.

    Args:
        network: in evaluation mode, on the device.
        images: prepared.
        rows: that are read.
        scans: which scan each of these rows is of.
        preprocessing: of the model.
    """
    device, parts = next(network.parameters()).device, []
    for start in range(0, len(rows), BATCH_SIZE):
        batch = np.ascontiguousarray(images[rows[start : start + BATCH_SIZE]])
        shown = torch.from_numpy(batch).to(device)
        parts.append(features_of(network, preprocessing.normalize(shown)))
    values = torch.cat(parts).numpy()
    _, scan_of = np.unique(scans, return_inverse=True)
    sums = np.zeros((int(scan_of.max()) + 1, values.shape[1]), np.float32)
    np.add.at(sums, scan_of, values)
    return unit(sums)


def unit(values: Float[np.ndarray, "s d"]) -> Float[np.ndarray, "s d"]:
    """Return vectors of unit length; zero stays zero.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    return values / np.linalg.norm(values, axis=1, keepdims=True).clip(1e-12)
