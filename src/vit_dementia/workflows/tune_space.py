"""What a search may choose: settings, each with a range or a list of values.

In TOML it has the shape of a recipe, with a range or a list where that has a value::

    [train]
    learning_rate = { low = 1e-5, high = 1e-3, log = true }
    label_smoothing = [0.0, 0.1]
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vit_dementia.config import RunConfig
from vit_dementia.errors import ConfigError
from vit_dementia.files import read_regular, write_text
from vit_dementia.recipes import config_from

Value = float | int | bool | str


@dataclass(frozen=True)
class Range:
    """All numbers from ``low`` to ``high``: whole ones if both are whole."""

    low: float | int
    high: float | int
    log: bool = False

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values to check: if both are possible, all between are."""
        return (self.low, self.high)

    def holds(self, value: Any) -> bool:
        """Say whether a value lies in the range."""
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choices:
    """Some values."""

    values: tuple[Value, ...]

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values to check: all of them."""
        return self.values

    def holds(self, value: Any) -> bool:
        """Say whether a value is one of them."""
        return value in self.values


Space = Mapping[str, Range | Choices]
_KEYS = {"low", "high", "log"}

DEFAULT_SPACE: Space = {
    "train.learning_rate": Range(1e-5, 3e-3, log=True),
    "train.weight_decay": Range(1e-3, 0.3, log=True),
    "train.label_smoothing": Choices((0.0, 0.1)),
    "train.mixup": Choices((0.0, 0.2, 0.8)),
    "vit.drop_path": Choices((0.0, 0.1, 0.2)),
    "augment.rotation_degrees": Range(0.0, 20.0),
    "augment.elastic": Range(0.0, 0.08),
    "augment.erase": Choices((0.0, 0.25)),
}
# Loaded weights know more in their first blocks than in their last.
FOR_LOADED_WEIGHTS: Space = {"train.layer_decay": Range(0.5, 1.0)}


def default_space(config: RunConfig) -> Space:
    """Return what is chosen where nobody says, as far as the settings allow.

    >>> from vit_dementia.config import TrainConfig
    >>> whole_visits = RunConfig(train=TrainConfig(slice_pooling="attention"))
    >>> set(DEFAULT_SPACE) - set(default_space(whole_visits))
    {'train.mixup'}
    """
    loaded = {} if config.init == "scratch" else FOR_LOADED_WEIGHTS
    whole_visits = config.train.slice_pooling == "attention"
    return {
        name: domain
        for name, domain in {**DEFAULT_SPACE, **loaded}.items()
        if not (whole_visits and name == "train.mixup")
    }


def read_space(path: Path) -> dict[str, Range | Choices]:
    """Read a search space from TOML.

    Raises:
        ConfigError: naming every setting that does not exist, and every end of a range
            or value that the setting cannot have.
    """
    try:
        tables = tomllib.loads(read_regular(path).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error})") from error
    space: dict[str, Range | Choices] = {}
    faults: list[str] = []
    for name, told in _flat(tables).items():
        domain = _domain(told)
        if domain is None:
            faults.append(
                f"{path}: {name}: found {told!r}; needs a list of values, or "
                "{ low = A, high = B } with A < B (log = true only above 0)"
            )
            continue
        space[name] = domain
        for value in domain.ends:
            try:
                config_from(_nested(name, value), where=str(path))
            except ConfigError as error:
                faults += error.faults
    if not space and not faults:
        faults.append(f"{path}: is empty; needs at least one setting to choose")
    if faults:
        raise ConfigError(*dict.fromkeys(faults))
    return space


def write_space(path: Path, space: Space) -> None:
    """Write a space as ``read_space`` reads it."""
    import tomli_w

    tables: dict[str, Any] = {}
    for name, domain in sorted(space.items()):
        table, _, field = name.rpartition(".")
        home = tables.setdefault(table, {}) if table else tables
        home[field] = (
            list(domain.values) if isinstance(domain, Choices) else asdict(domain)
        )
    write_text(path, tomli_w.dumps(tables))


def value_of(config: RunConfig, name: str) -> Any:
    """Return a setting by its whole name.

    >>> value_of(RunConfig(), "train.warmup")
    0.1
    """
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def with_values(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """Return the settings with some of them changed.

    >>> with_values(RunConfig(), {"seed": 3, "train.warmup": 0.2}).train.warmup
    0.2

    Raises:
        ConfigError: if they contradict one another.
    """
    for name, value in values.items():
        table, _, field = name.rpartition(".")
        if table:
            changed = replace(getattr(config, table), **{field: value})
            config = replace(config, **{table: changed})
        else:
            config = replace(config, **{field: value})
    return config


def _flat(tables: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, told in tables.items():
        if isinstance(told, dict) and "low" not in told:
            flat |= {f"{name}.{inner}": value for inner, value in told.items()}
        else:
            flat[name] = told
    return flat


def _domain(told: Any) -> Range | Choices | None:
    """Return what a TOML value stands for; None if it is neither list nor range."""
    if isinstance(told, list):
        simple = all(isinstance(value, float | int | bool | str) for value in told)
        return Choices(tuple(told)) if told and simple else None
    if not isinstance(told, dict) or not {"low", "high"} <= set(told) <= _KEYS:
        return None
    low, high, log = told["low"], told["high"], told.get("log", False)
    numbers = [v for v in (low, high) if isinstance(v, float | int)]
    if len(numbers) < 2 or not low < high or (log and not low > 0):
        return None
    return Range(low, high, log)


def _nested(name: str, value: Any) -> dict[str, Any]:
    table, _, field = name.rpartition(".")
    return {table: {field: value}} if table else {field: value}


def said(values: Mapping[str, Any]) -> str:
    """Say what was chosen in one line.

    >>> said({"train.learning_rate": 0.00123456, "vit.drop_path": 0.1})
    'train.learning_rate 0.00123, vit.drop_path 0.1'
    """
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
