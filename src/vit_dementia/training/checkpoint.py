"""Checkpoints to continue from: whole or not there, and checked before use.

A checkpoint is a safetensors file with weights and optimizer state, and a manifest,
written after it, with the place in the run and the SHA-256 of the tensors. One without
the other, or with another hash, does not count. The two newest are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vit_dementia.errors import CheckpointError
from vit_dementia.files import (
    is_intact,
    read_json,
    replacing,
    sealed,
    sha256_of,
    write_json,
)

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
KEPT = 2  # the newest, and the one before it in case the newest is damaged
_MODEL, _OPTIMIZER = "model.", "optimizer."


@dataclass(frozen=True)
class Progress:
    """How far a run is: all that is not weights or optimizer.

    Attributes:
        step: batches done since the run began.
        epochs: finished epochs.
        facts: JSON values the run wants back, such as the best score so far.
    """

    step: int
    epochs: int
    facts: dict[str, Any]


def save(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write a checkpoint and remove all but the newest two."""
    tensors = {_MODEL + name: value for name, value in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{index}.{name}": v for name, v in state.items()}
    path = folder / f"step-{progress.step:09d}.safetensors"
    with replacing(path) as aside:
        # safetensors refuses views, such as the momentum of a transposed weight
        save_file({name: v.contiguous() for name, v in tensors.items()}, aside)
        digest = sha256_of(aside)
    manifest = {"format": FORMAT_VERSION, "sha256": digest, **asdict(progress)}
    write_json(path.with_suffix(".json"), sealed(manifest))
    _tidy(folder)


@dataclass(frozen=True)
class Saved:
    """An intact checkpoint."""

    tensors: Path
    progress: Progress


def newest(folder: Path) -> Saved | None:
    """Return the newest intact checkpoint; None if none was ever written.

    Raises:
        CheckpointError: if it is of another format, or all there are, are damaged.
    """
    manifests = _newest_first(folder)
    for manifest_file in manifests:
        tensors = manifest_file.with_suffix(".safetensors")
        try:
            manifest = read_json(manifest_file, CheckpointError)
            progress = Progress(manifest["step"], manifest["epochs"], manifest["facts"])
            found, digest = manifest["format"], manifest["sha256"]
        except (CheckpointError, KeyError, TypeError):
            log.warning("%s: is damaged; the one before it is used", manifest_file.name)
            continue
        if found != FORMAT_VERSION:
            raise CheckpointError(
                f"{manifest_file}: found checkpoint format {found}; "
                f"needs {FORMAT_VERSION}"
            )
        if not (is_intact(manifest) and _is_place(progress)):
            log.warning("%s: is damaged; the one before it is used", manifest_file.name)
            continue
        if tensors.is_file() and sha256_of(tensors) == digest:
            return Saved(tensors, progress)
        log.warning("%s: is damaged; the one before it is used", tensors.name)
    if manifests:
        raise CheckpointError(
            f"{folder}: found {len(manifests)} checkpoints, all damaged; needs an "
            "intact one to go on; remove them to begin the run anew"
        )
    return None


def _is_place(told: Progress) -> bool:
    counts = (told.step, told.epochs)
    return all(type(one) is int and one >= 0 for one in counts) and isinstance(
        told.facts, dict
    )


def load(saved: Saved, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Load a checkpoint; return the place in the run.

    Raises:
        CheckpointError: if it is of another model.
    """
    _load(saved.tensors, model, optimizer)
    return saved.progress


def add_fact(folder: Path, name: str, change: Callable[[Any], Any]) -> Any:
    """Change one fact of every checkpoint that is kept; return that of the newest.

    Args:
        folder: of the checkpoints.
        name: of the fact.
        change: makes the new value of the old one; None where there was none.
    """
    changed = None
    for manifest_file in reversed(_newest_first(folder)):
        manifest = read_json(manifest_file, CheckpointError)
        changed = change(manifest["facts"].get(name))
        manifest["facts"][name] = changed
        write_json(manifest_file, sealed(manifest))
    return changed


def _tidy(folder: Path) -> None:
    """Remove all but the newest two, and what a killed process left half-written."""
    kept = {manifest.stem for manifest in _newest_first(folder)[:KEPT]}
    for file in [*folder.glob("step-*"), *folder.glob(".step-*.part")]:
        if file.stem not in kept:
            file.unlink()


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.json"), reverse=True)


def _load(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    groups = optimizer.state_dict()["param_groups"]
    try:
        tensors = load_file(path)
        weights = {
            name.removeprefix(_MODEL): value
            for name, value in tensors.items()
            if name.startswith(_MODEL)
        }
        for name, value in tensors.items():
            if name.startswith(_OPTIMIZER):
                index, key = name.removeprefix(_OPTIMIZER).split(".", 1)
                state.setdefault(int(index), {})[key] = value
        model.load_state_dict(weights)
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except (RuntimeError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: does not fit this run's model ({error})"
        ) from error
