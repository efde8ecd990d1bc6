"""Tensors out of weight files, without ever running what a file says."""

from __future__ import annotations

import argparse
import os
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vit_dementia.errors import CheckpointError
from vit_dementia.files import read_json, replacing
from vit_dementia.limits import LIMITS, Limits

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")  # in a model folder
SHARDED = ".index.json"  # behind such a name: says which file beside holds which weight

# What readers raise on bytes that are not what they seem.
_DAMAGE = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
    safetensors.SafetensorError,
)

# What training checkpoints wrap the weights in, the better one first: an average over
# training before the last step, DINO's teacher before its student.
_WRAPPERS = (
    "state_dict_ema",
    "model_ema",
    "teacher",
    "state_dict",
    "model",
    "student",
)


def read_tensors(path: Path, *, limits: Limits = LIMITS) -> dict[str, Tensor]:
    """Return the named tensors of a weight file; its kind is told by its content.

    Raises:
        CheckpointError: if the file cannot be read, would run code, or unpacks to more
            than it can honestly hold.
    """
    return read_wrapped(path, limits=limits)[1]


def read_wrapped(
    path: Path, *, limits: Limits = LIMITS
) -> tuple[str, dict[str, Tensor]]:
    """Return also the key that a training checkpoint had the tensors under, or nothing.

    Raises:
        CheckpointError: if the file cannot be read, would run code, or unpacks to more
            than it can honestly hold.
    """
    if path.name.endswith(SHARDED):
        return "", _read_shards(path, limits)
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise CheckpointError(f"{path}: is not a regular file; needs a file of weights")
    try:
        kind = _kind_of(path, limits)
        if kind == "npz":
            wrapper, tensors = "", _read_npz(path)
        elif kind == "safetensors":
            wrapper, tensors = "", safetensors.torch.load_file(path)
        else:
            wrapper, tensors = unwrapped(_read_torch(path), path)
        _refuse_stretched(tensors, path, limits)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: refused, because it is a pickle that would run code when opened,"
            f" or is damaged ({_cause(error)}); needs a file of tensors only; ask its"
            " author for .safetensors"
        ) from error
    except _DAMAGE as error:
        raise CheckpointError(
            f"{path}: cannot be read as weights ({_cause(error)}); needs a whole"
            " .safetensors, .pth or .npz file; fetch or copy it again"
        ) from error
    return wrapper, tensors


def _cause(error: BaseException) -> str:
    """Return the line that tells; torch's first one is advice to trust the file."""
    lines = str(error).splitlines() or [type(error).__name__]
    marks = ("WeightsUnpickler error: ", "Weights only load failed. ")
    told = next((line.split(marks[0])[1] for line in lines if marks[0] in line), "")
    if told or marks[1] in lines[0]:
        return re.split(r" was not | in PyTorch |\. ", told)[0] or "no such tensors"
    return lines[0]


def _read_shards(index: Path, limits: Limits) -> dict[str, Tensor]:
    """Return the weights of all files that the index of transformers names."""
    file_of = read_config(index).get("weight_map")
    if not isinstance(file_of, dict) or not all(
        isinstance(name, str)
        and Path(name).name == name
        and not name.endswith(SHARDED)  # or it could name itself
        for name in file_of.values()
    ):
        raise CheckpointError(
            f"{index}: needs a weight_map, from weights to names of files beside it"
        )
    files = sorted(set(file_of.values()))
    if missing := [name for name in files if not (index.parent / name).is_file()]:
        raise CheckpointError(
            f"{index}: names {', '.join(missing)}, not there; needs all {len(files)}"
            " files of these weights; nothing was loaded"
        )
    inside = {name: read_tensors(index.parent / name, limits=limits) for name in files}
    absent = sorted(n for n, file in file_of.items() if n not in inside[file])
    if absent:
        raise CheckpointError(
            f"{index}: {file_of[absent[0]]} does not hold {absent[0]}; needs the files"
            " that belong together; nothing was loaded"
        )
    return {name: value for part in inside.values() for name, value in part.items()}


def _kind_of(path: Path, limits: Limits) -> str:
    size = path.stat().st_size
    if size > limits.weight_bytes:
        raise CheckpointError(
            f"{path}: {size} bytes; at most {limits.weight_bytes} are read"
        )
    with path.open("rb") as file:
        head = file.read(9)
    if head[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        _refuse_bomb(members, path, limits)
        names = {member.filename for member in members}
        if any(name.endswith("/constants.pkl") for name in names):
            raise CheckpointError(
                f"{path}: is a program (TorchScript), not only weights; needs a file of"
                " tensors only; ask its author for .safetensors"
            )
        is_npz = all(name.endswith(".npy") for name in names)
        return "npz" if is_npz else "torch"
    if head[8:9] == b"{":  # after the length of the header comes its JSON
        return "safetensors"
    return "torch"


def _refuse_bomb(members: list[zipfile.ZipInfo], path: Path, limits: Limits) -> None:
    """Refuse an archive by its own list, before anything is unpacked."""
    unpacked = sum(member.file_size for member in members)
    names = {member.filename for member in members}
    if len(members) > limits.weight_members or len(names) < len(members):
        raise CheckpointError(
            f"{path}: an archive of {len(members)} members under {len(names)} names;"
            f" needs at most {limits.weight_members}, each of its own name"
        )
    if unpacked > limits.weight_ratio * path.stat().st_size:
        raise CheckpointError(
            f"{path}: claims {unpacked} bytes in a file of {path.stat().st_size}; needs"
            f" at most {limits.weight_ratio} times as many; trained weights hardly"
            " compress; nothing was unpacked"
        )


def _refuse_stretched(
    tensors: Mapping[str, Tensor], path: Path, limits: Limits
) -> None:
    """Refuse tensors that are larger than the numbers in the file, or hold none."""
    total, room = 0, limits.weight_ratio * path.stat().st_size
    for name, value in tensors.items():
        if value.is_meta or value.layout != torch.strided or value.is_quantized:
            raise CheckpointError(
                f"{path}: {name} is no plain tensor ({value.layout}, {value.device});"
                " needs numbers alone"
            )
        total += value.numel() * value.element_size()
        if total > room:
            raise CheckpointError(
                f"{path}: {name} claims the shape {list(value.shape)}, more than the"
                f" file holds ({path.stat().st_size} bytes); nothing was loaded"
            )


def _read_npz(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as archive:
        try:
            return {name: _tensor(archive[name]) for name in archive.files}
        except (ValueError, TypeError) as error:
            if "allow_pickle" in str(error):
                raise pickle.UnpicklingError("an array of objects") from error
            raise


def _tensor(array: np.ndarray) -> Tensor:
    if array.dtype.kind == "V" and array.dtype.itemsize == 2:  # bfloat16, to NumPy raw
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _read_torch(path: Path) -> Any:
    # Training scripts store their settings as a Namespace: attributes, never code.
    with (
        torch.serialization.safe_globals([argparse.Namespace]),
        warnings.catch_warnings(),
    ):
        # A pickle by another hand than torch's: read if it holds only tensors.
        warnings.filterwarnings("ignore", "Detected pickle protocol")
        return torch.load(path, map_location="cpu", weights_only=True)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a ``.safetensors`` file, whole or not at all.

    Raises:
        OSError: as any other writer; the library has an error of its own.
    """
    with replacing(path) as aside:
        try:
            safetensors.torch.save_file(dict(tensors), aside, metadata={"format": "pt"})
        except safetensors.SafetensorError as error:
            told = re.search(r"os error (\d+)", str(error))  # as Rust writes it
            if told is None:
                raise
            number = int(told[1])
            raise OSError(number, os.strerror(number), str(path)) from error


def unwrapped(content: Any, where: object) -> tuple[str, dict[str, Tensor]]:
    """Return the state dict inside a training checkpoint, and the key it was under.

    >>> unwrapped({"epoch": 3, "model": {"w": torch.zeros(1)}}, "a.pth")
    ('model', {'w': tensor([0.])})

    Raises:
        CheckpointError: if there is none.
    """
    wrapper = ""
    while isinstance(content, Mapping):
        if any(isinstance(value, Tensor) for value in content.values()):
            return wrapper, {k: v for k, v in content.items() if isinstance(v, Tensor)}
        inner = [key for key in _WRAPPERS if content.get(key) is not None]
        if not inner:
            break
        wrapper, content = inner[0], content[inner[0]]
    raise CheckpointError(
        f"{where}: holds no named tensors (found {type(content).__name__}); needs a"
        " state dict, alone or under one of " + ", ".join(_WRAPPERS)
    )


def read_config(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one if there is no file.

    Raises:
        CheckpointError: if the file is there and is no JSON object.
    """
    if not path.exists():
        return {}
    content = read_json(path, CheckpointError)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: needs a JSON object, found {content!r:.40}")
    return content
