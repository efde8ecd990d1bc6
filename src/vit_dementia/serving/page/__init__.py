"""The page: plain files of our own, and one viewer of volumes (NiiVue, see beside it).

Every word that a visitor reads stands in ``words.json``: a translation is that file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import jinja2

from vit_dementia import DISCLAIMER

_TYPES = {"css": "text/css", "js": "text/javascript", "json": "application/json"}
_FILES = ("page.css", "page.js", "slices.js", "volumes.js", "words.json")
NIIVUE = "niivue.umd.js"


@dataclass(frozen=True)
class Asset:
    """One file that the server gives to anybody."""

    content: bytes
    media_type: str


@cache
def assets() -> Mapping[str, Asset]:
    """Return every file of the page by the path it is asked for at.

    >>> "/" in assets() and "/page/words.json" in assets()
    True
    """
    source = resources.files(__package__)
    found = {
        f"/page/{name}": Asset(
            (source / name).read_bytes(),
            f"{_TYPES[name.rpartition('.')[2]]}; charset=utf-8",
        )
        for name in (*_FILES, NIIVUE)
    }
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    template = environment.from_string((source / "page.html.j2").read_text("utf-8"))
    html = template.render(words=words(), disclaimer=DISCLAIMER)
    return {**found, "/": Asset(html.encode(), "text/html; charset=utf-8")}


@cache
def words() -> Mapping[str, Any]:
    """Return what the page says, by name.

    >>> words()["language"]
    'en'
    """
    source = resources.files(__package__)
    told: dict[str, Any] = json.loads((source / "words.json").read_text("utf-8"))
    return told
