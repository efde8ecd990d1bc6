"""Recipes: TOML files with the settings of a run that differ from the defaults.

The order is defaults, then recipe, then command line. Reading is strict: an unknown
key, a wrong type or a contradiction is a ``ConfigError`` that names the nearest key.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from vit_dementia.config import RunConfig
from vit_dementia.errors import ConfigError
from vit_dementia.files import read_regular


def recipe_names() -> list[str]:
    """Return the names of the recipes in the package, sorted."""
    folder = resources.files(__name__)
    return sorted(
        file.name.removesuffix(".toml")
        for file in folder.iterdir()
        if file.name.endswith(".toml")
    )


def read_recipe(name_or_file: str) -> dict[str, Any]:
    """Return what a recipe sets, checked: a name in the package, or a TOML file.

    Raises:
        ConfigError: if there is no such recipe, or it does not fit the settings.
    """
    names = recipe_names()
    if name_or_file in names:
        text = resources.files(__name__).joinpath(f"{name_or_file}.toml").read_text()
    elif Path(name_or_file).exists():
        try:
            text = read_regular(Path(name_or_file)).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"recipe {name_or_file}: cannot be read ({error})"
            ) from error
    else:
        raise ConfigError(
            f"recipe {name_or_file}: not found; needs a TOML file or one of "
            f"{', '.join(names)}"
        )
    return parse(text, where=f"recipe {name_or_file}")


def parse(text: str, *, where: str) -> dict[str, Any]:
    """Return the settings written in ``text``, checked against ``RunConfig``.

    Raises:
        ConfigError: naming ``where`` and the key.
    """
    try:
        settings = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{where}: is not TOML ({error})") from error
    config_from(settings, where=where)
    return settings


def config_from(settings: dict[str, Any], *, where: str) -> RunConfig:
    """Build the settings of a run from what differs from the defaults.

    Raises:
        ConfigError: if a key is unknown or a value of the wrong type or range.

    >>> config_from({"train": {"epochs": 3}}, where="example").train.epochs
    3
    """
    from pydantic import TypeAdapter, ValidationError  # slow to import

    faults = _unknown_keys(settings, RunConfig, where, "")
    if faults:
        raise ConfigError(*faults)
    try:
        return TypeAdapter(RunConfig).validate_json(json.dumps(settings), strict=True)
    except ValidationError as error:
        raise ConfigError(
            *(
                f"{where}: {'.'.join(map(str, fault['loc']))}: found "
                f"{fault['input']!r}; {fault['msg']}"
                for fault in error.errors()
            )
        ) from error


def to_toml(config: RunConfig) -> str:
    """Return all settings as TOML; a setting without a value is left out."""
    import tomli_w

    return tomli_w.dumps(_without_none(dataclasses.asdict(config)))


def to_recipe(config: RunConfig, head: Sequence[str]) -> str:
    """Return the settings that differ from the defaults as TOML, under a comment.

    >>> print(to_recipe(RunConfig(seed=3), ["Mine."]), end="")
    # Mine.
    seed = 3
    """
    import tomli_w

    comment = "".join(f"# {line}".rstrip() + "\n" for line in head)
    return comment + tomli_w.dumps(_without_none(_changed(config)))


def from_toml(path: Path) -> RunConfig:
    """Read the settings that ``to_toml`` wrote.

    Raises:
        ConfigError: if the file is missing or does not fit.
    """
    try:
        text = read_regular(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    return config_from(parse(text, where=str(path)), where=str(path))


def _changed(config: Any) -> dict[str, Any]:
    """Return what differs from the defaults, table by table."""
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            if inner := _changed(value):
                changed[field.name] = inner
        elif value != getattr(type(config)(), field.name):
            changed[field.name] = value
    return changed


def _without_none(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in settings.items()
        if value is not None
    }


def _unknown_keys(
    settings: dict[str, Any], config: type, where: str, prefix: str
) -> list[str]:
    """List the keys that no field has, each with the nearest that exists."""
    defaults = config()
    known = [field.name for field in dataclasses.fields(config)]
    faults = []
    for key, value in settings.items():
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0)[0]
            faults.append(
                f"{where}: unknown setting {prefix}{key}; did you mean "
                f"{prefix}{nearest}?"
            )
        elif dataclasses.is_dataclass(table := getattr(defaults, key)):
            if isinstance(value, dict):
                faults += _unknown_keys(value, type(table), where, f"{prefix}{key}.")
            else:
                faults.append(f"{where}: {prefix}{key}: needs a table [{key}]")
    return faults
