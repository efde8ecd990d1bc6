"""Prediction by another runtime: the same scans, preparation and answers.

Shapes: ``n`` scans, ``c`` channels, ``*space`` the sides of a scan, ``q`` classes and,
where slices are weighed, their score.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vit_dementia.errors import ConfigError
from vit_dementia.export.formats import FORMATS, Logits, Scans
from vit_dementia.inference.compute import Device
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.inference.predictor import Predictor


class Foreign(nn.Module):
    """A network in another runtime, called as one of PyTorch is."""

    def __init__(self, answer: Callable[[Scans], Logits]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images: Float[Tensor, "n c *space"]) -> Float[Tensor, "n q"]:
        """Return the logits, and the score if there is one."""
        return torch.from_numpy(self.answer(images.contiguous().numpy()))


def predictor_in(form: str, path: Path, *, device: Device = "auto") -> Predictor:
    """Open a run or model folder, its network put into another runtime.

    Args:
        form: one of ``export.formats.FORMATS``.
        path: as for ``Predictor.load``.
        device: auto or cpu; the runtimes compute there.

    Raises:
        ConfigError: if the runtime is not installed, or another device is asked for.
        CheckpointError: as ``Predictor.load``.
    """
    if device not in ("auto", "cpu"):
        raise ConfigError(
            f"device: found {device} beside --engine {form}, which computes on the"
            " CPU; leave one of them out"
        )
    return Predictor.load(
        path, device="cpu", precision="fp32", engine=lambda model: put_into(form, model)
    )


def put_into(form: str, model: SavedModel) -> nn.Module:
    """Return a model's network in another runtime.

    Raises:
        ConfigError: if that is not installed.
    """
    try:
        with TemporaryDirectory(prefix="vit-dementia-") as folder:
            FORMATS[form].write(model, Path(folder))
            return Foreign(FORMATS[form].open(Path(folder)))
    except ImportError as error:
        raise not_installed(form, error) from error


def not_installed(form: str, error: ImportError) -> ConfigError:
    """Return the error for a format whose libraries are missing."""
    return ConfigError(
        f"{form}: {error.name} is not installed; needs "
        "pip install 'vit-dementia[export]'"
    )
