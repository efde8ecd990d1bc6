"""A network written so that another library opens it and gives the same logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vit_dementia.errors import CheckpointError
from vit_dementia.files import replacing, write_json
from vit_dementia.models.description import Architecture
from vit_dementia.models.weights import (
    google_writing,
    historical,
    huggingface,
    native,
    timm,
    torchvision,
)
from vit_dementia.models.weights.adapt import with_channels
from vit_dementia.models.weights.containers import write_tensors
from vit_dementia.models.weights.reading import read_weights
from vit_dementia.models.weights.record import Weights, refuse_unfit


def save_weights(
    weights: Weights, folder: Path, form: str, *, channels: int | None = None
) -> Path:
    """Write weights in the layout of a library; return the file that holds them.

    The values are written bit for bit as they are, unless ``channels`` asks for other
    kernels. Everything is checked before the first byte is written.

    Args:
        weights: with a name for each output, or no outputs.
        folder: to write into; other files there stay.
        form: the layout.
        channels: of the written network. For ``huggingface`` three unless told
            otherwise, because its pipelines give every image three: each kernel is then
            a third of a gray one.

    Raises:
        CheckpointError: if the layout cannot express the network; names the feature.
    """
    if form not in FORMATS:
        raise CheckpointError(
            f"format: found {form!r}; needs one of {', '.join(FORMATS)}"
        )
    if (
        form == "huggingface"
        and channels is None
        and weights.architecture.channels == 1
    ):
        channels = 3
    if channels is not None:
        weights = with_channels(weights, channels)
    refuse_unfit(weights.state, weights.architecture, weights.layout)
    return FORMATS[form](weights, folder)


def parity(weights: Weights, path: Path) -> float:
    """Return the largest difference of logits between weights and what was written.

    Both networks see the same random images; 0 if every bit is the same. Where gray
    weights were written for three channels, these get the gray image three times.
    """
    ours = weights.build().eval()
    theirs = read_weights(path, classes=weights.classes).build().eval()
    a, channels = weights.architecture, theirs.architecture.channels
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((2, a.channels, *a.image_size), generator=generator)
    images = images.to(next(ours.parameters()).dtype)
    repeated = images.expand(-1, channels, *a.image_size) if a.channels == 1 else images
    with torch.inference_mode():
        return float((ours(images) - theirs(repeated)).abs().max())


def _save_native(weights: Weights, folder: Path) -> Path:
    native.save(
        weights.state,
        weights.architecture,
        _classes(weights),
        folder,
        mean=weights.mean,
        std=weights.std,
        rule=weights.rule,
    )
    return folder / native.WEIGHTS


def _save_timm(weights: Weights, folder: Path) -> Path:
    """Write a folder for ``timm.create_model("local-dir:FOLDER")``.

    ``model.safetensors`` alone also goes as ``checkpoint_path``, with ``model_args`` of
    ``config.json`` as further arguments.
    """
    config = timm.config_of(weights)
    _write_safetensors(folder / "model.safetensors", weights.state)
    write_json(folder / "config.json", config)
    return folder / "model.safetensors"


def _save_huggingface(weights: Weights, folder: Path) -> Path:
    a = weights.architecture
    state = huggingface.to_huggingface(weights.state, a)
    config = huggingface.config_of(a, _classes(weights))
    processor = _image_processor(a, weights.mean, weights.std)
    _write_safetensors(folder / "model.safetensors", state)
    write_json(folder / "preprocessor_config.json", processor)
    write_json(folder / "config.json", config)
    return folder / "model.safetensors"


def _image_processor(
    a: Architecture, mean: Sequence[float] | None, std: Sequence[float] | None
) -> dict[str, Any]:
    """Return how transformers makes an image the input: stretched, then normalized."""
    height, width = a.image_size
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": height, "width": width},
        "resample": 3,  # bicubic
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(mean or (0.0,) * a.channels),
        "image_std": list(std or (1.0,) * a.channels),
    }


def _save_torchvision(weights: Weights, folder: Path) -> Path:
    state = torchvision.to_torchvision(weights.state, weights.architecture)
    path = folder / "model.pth"
    historical.save_state(path, state, weights.architecture, _classes(weights))
    return path


def _save_historical(weights: Weights, folder: Path) -> Path:
    path = folder / "model.pth"
    historical.save(path, weights.state, weights.architecture, _classes(weights))
    return path


def _save_google(weights: Weights, folder: Path) -> Path:
    state = google_writing.to_google(weights.state, weights.architecture)
    path = folder / "model.npz"
    arrays: dict[str, Any] = {
        name: value.detach().cpu().numpy() for name, value in state.items()
    }
    with replacing(path) as aside, aside.open("wb") as file:
        np.savez(file, **arrays)
    notes = {
        "classes": _classes(weights),
        "image_size": list(weights.architecture.image_size),
        "num_heads": weights.architecture.num_heads,
    }
    write_json(historical.classes_file(path), notes)
    return path


def _write_safetensors(path: Path, state: Mapping[str, Tensor]) -> None:
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in state.items()}
    write_tensors(path, tensors)


def _classes(weights: Weights) -> list[str]:
    width = weights.architecture.num_classes
    if weights.classes is not None:
        return list(weights.classes)
    if width in (0, 1000):  # features, or ImageNet's own order
        return [str(i) for i in range(width)]
    raise CheckpointError(
        f"classes: nobody says what the {width} outputs stand for; needs --classes"
    )


def weights_of(model: torch.nn.Module, like: Weights) -> Weights:
    """Return the weights of a trained network, with what is known of those it had."""
    return replace(like, state=dict(model.state_dict()))


FORMATS: dict[str, Callable[[Weights, Path], Path]] = {
    "native": _save_native,
    "timm": _save_timm,
    "huggingface": _save_huggingface,
    "torchvision": _save_torchvision,
    "google": _save_google,
    "historical": _save_historical,
}
