"""Our own model folder: ``model.safetensors`` and ``config.json``, checked by hash."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from vit_dementia.errors import CheckpointError, ConfigError
from vit_dementia.files import is_intact, sealed, sha256_of, write_json
from vit_dementia.limits import LIMITS
from vit_dementia.models.description import Architecture
from vit_dementia.models.positions import Rule
from vit_dementia.models.weights.containers import (
    read_config,
    read_tensors,
    write_tensors,
)
from vit_dementia.models.weights.record import Weights, refuse_no_numbers, refuse_unfit
from vit_dementia.spreadsheets import is_formula

FORMAT = "vit-dementia-model"
VERSION = 1
WEIGHTS, CONFIG = "model.safetensors", "config.json"
_MARKUP = re.compile(r"<[a-zA-Z/!?]")


def save(
    state: Mapping[str, Tensor],
    architecture: Architecture,
    classes: Sequence[str],
    folder: Path,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    rule: Rule = "bicubic-antialias",
    training: Mapping[str, Any] | None = None,
) -> None:
    """Write the weights and what is needed to use them; other files there stay.

    The weights come first: a folder whose ``config.json`` is there and names their hash
    is whole.

    Args:
        state: under timm's names.
        architecture: of the network they belong to.
        classes: what the outputs stand for, in order.
        folder: to write into.
        mean: of each input channel, as the network wants them normalized.
        std: of each input channel.
        rule: to resize these positions by.
        training: what else is known of the weights, kept under ``training``.

    Raises:
        CheckpointError: if weights, architecture and classes do not belong together.
    """
    refuse_unfit(state, architecture, folder)
    if architecture.num_classes != len(classes):
        raise CheckpointError(
            f"{folder}: {architecture.num_classes} outputs and {len(classes)} classes;"
            " needs a name for each output"
        )
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in state.items()}
    write_tensors(folder / WEIGHTS, tensors)
    content = {
        "format": FORMAT,
        "format_version": VERSION,
        "architecture": architecture.to_dict(),
        "classes": list(classes),
        "mean": None if mean is None else list(mean),
        "std": None if std is None else list(std),
        "position_rule": rule,
        "sha256": sha256_of(folder / WEIGHTS),
        "training": dict(training or {}),
    }
    write_json(folder / CONFIG, sealed(content))


def recognize(config: Mapping[str, Any]) -> bool:
    """Say whether a ``config.json`` is that of our own folder."""
    return config.get("format") == FORMAT


def read(folder: Path) -> Weights:
    """Read our own folder.

    Raises:
        CheckpointError: if it is damaged, incomplete or of another version.
    """
    config = read_config(folder / CONFIG)
    where = folder / CONFIG
    if config.get("format") != FORMAT or config.get("format_version") != VERSION:
        raise CheckpointError(
            f"{where}: found format {config.get('format')!r} version"
            f" {config.get('format_version')!r}; needs {FORMAT!r} version {VERSION}"
        )
    if not is_intact(config):
        raise CheckpointError(
            f"{where}: does not fit the hash in it; the file was changed or damaged;"
            " copy the whole folder again"
        )
    needed = ("architecture", "classes", "mean", "std", "position_rule", "sha256")
    if missing := [key for key in needed if key not in config]:
        raise CheckpointError(f"{where}: lacks {', '.join(missing)}")
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{folder}: needs {WEIGHTS} beside {CONFIG}")
    found = sha256_of(folder / WEIGHTS)
    if found != config["sha256"]:
        raise CheckpointError(
            f"{folder / WEIGHTS}: its SHA-256 begins {found[:12]}, {CONFIG} says"
            f" {str(config['sha256'])[:12]}; the file was changed or damaged; copy the"
            " whole folder again"
        )
    _refuse_odd_values(config, where)
    try:
        architecture = Architecture.from_dict(config["architecture"])
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{where}: {'; '.join(error.faults)}") from error
    if len(config["classes"]) != architecture.num_classes:
        raise CheckpointError(
            f"{where}: {architecture.num_classes} outputs and"
            f" {len(config['classes'])} classes; needs a name for each output"
        )
    state = read_tensors(folder / WEIGHTS)
    refuse_unfit(state, architecture, folder / WEIGHTS)
    refuse_no_numbers(state, folder / WEIGHTS)
    return Weights(
        state=state,
        architecture=architecture,
        classes=tuple(config["classes"]),
        mean=None if config["mean"] is None else tuple(config["mean"]),
        std=None if config["std"] is None else tuple(config["std"]),
        layout="native",
        rule=config["position_rule"],
    )


def _refuse_odd_values(config: Mapping[str, Any], where: Path) -> None:
    """Refuse what no folder of ours says, whatever its hash.

    Class names are shown in tables, pages and terminals: they are names and no more.
    """
    faults = []
    names = config["classes"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        faults.append("classes is no list of names")
    else:
        if len(set(names)) < len(names):
            faults.append("classes holds a name twice")
        faults += [
            f"{name[:40]!r} is no name of a class"
            for name in names
            if not name.strip()
            or not name.isprintable()
            or len(name) > LIMITS.class_characters
            or is_formula(name)
            or _MARKUP.search(name)
        ]
    if not isinstance(config["architecture"], dict):
        faults.append("architecture is no table")
    if config["position_rule"] not in get_args(Rule):
        faults.append(f"unknown position_rule {config['position_rule']!r}")
    for key in ("mean", "std"):
        if config[key] is not None and not _are_numbers(config[key]):
            faults.append(f"{key} is no list of numbers")
    if not isinstance(config.get("training", {}), dict):
        faults.append("training is no table")
    if faults:
        raise CheckpointError(f"{where}: {'; '.join(faults)}; nothing was loaded")


def _are_numbers(values: object) -> bool:
    return isinstance(values, list) and all(
        isinstance(one, int | float) and isfinite(one) for one in values
    )
