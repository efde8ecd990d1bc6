"""The report of a check: one HTML page with pictures that names no file and nobody.

Shapes: t the side of a thumbnail.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vit_dementia import DISCLAIMER
from vit_dementia.audit.inventory import People
from vit_dementia.audit.shortcuts import Shortcut
from vit_dementia.files import adding_to, write_json, write_text
from vit_dementia.workflows import check_words as words
from vit_dementia.workflows.check_record import Check, Shown

TITLE = "Who is in these data, and do they leak?"
_MOODS = {"leak": "leak", "cannot tell": "unsure", "clean": "clean"}
_WORST = 0.4  # left end of the axis of AUROC; all lies between it and 1
_LEFT, _WIDE = 4, 124  # of that axis, in pixels


def write_check(folder: Path, check: Check) -> Path:
    """Write ``check.json`` and ``report.html`` into a folder; return the page."""
    text = page(check)
    with adding_to(folder) as aside:
        write_json(aside / "check.json", check.document())
        write_text(aside / "report.html", text)
    return folder / "report.html"


def page(check: Check) -> str:
    """Return the page; every name from the data is escaped."""
    source = resources.files(__package__).joinpath("check_report.html.j2")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    price = check.price
    return environment.from_string(source.read_text(encoding="utf-8")).render(
        title=TITLE,
        disclaimer=DISCLAIMER,
        mood=_MOODS[check.verdict],
        verdict=words.VERDICTS[check.verdict],
        headline=_sentence(words.headline(check)),
        people=_sentence(words.people(check)),
        findings=_findings(check),
        steps=words.steps(check, "DATA"),
        leak_rows=words.leak_rows(check),
        pairs=[_shown(one) for one in check.pairs],
        strips=[_shown(one) for one in check.strips],
        price_rows=words.price_rows(price) if price else [],
        price_sentence=words.price_sentence(price) if price else "",
        price_sizes=f"{price.num_learned:,} images to learn from, "
        f"{price.num_scored:,} to score"
        if price
        else "",
        shortcut_rows=[_shortcut(one) for one in check.shortcuts],
        class_rows=[_class_row(check, name) for name in check.inventory.classes],
        people_known=any(map(_is_known, check.inventory.people.values())),
        file_rows=words.file_rows(check),
        trouble_rows=words.trouble_rows(check),
    )


def _findings(check: Check) -> list[str]:
    said = [words.shortcut_sentence(check)]
    said += [] if check.grouping.method is None else [words.how(check)]
    return [_sentence(one) + "." for one in said]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _shown(shown: Shown) -> dict[str, Any]:
    images = [
        {"role": role, "source": _png(thumbnail), "alt": f"slice, {role or 'no part'}"}
        for role, thumbnail in zip(shown.roles, shown.thumbnails, strict=True)
    ]
    return {"images": images, "caption": shown.caption}


def _png(thumbnail: UInt8[np.ndarray, "t t"]) -> str:
    out = io.BytesIO()
    Image.fromarray(thumbnail).save(out, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def _shortcut(shortcut: Shortcut) -> dict[str, Any]:
    bar = None
    if shortcut.auroc is not None:
        assert shortcut.low is not None
        assert shortcut.high is not None
        bar = {
            "low": _x(shortcut.low),
            "high": _x(shortcut.high),
            "value": _x(shortcut.auroc),
            "chance": _x(0.5),
        }
    return {
        "name": shortcut.name,
        "cell": "-" if bar is None else words.shortcut_cell(shortcut),
        "bar": bar,
        "comparison": shortcut.comparison,
        "flag": shortcut.flag,
    }


def _x(auroc: float) -> int:
    """Return where an AUROC lies on its axis, in pixels.

    >>> _x(1.0), _x(0.4), _x(0.1)
    (128, 4, 4)
    """
    return _LEFT + round(_WIDE * max(0.0, (auroc - _WORST) / (1 - _WORST)))


def _class_row(check: Check, name: str) -> dict[str, str]:
    size, people = check.inventory.classes[name], check.inventory.people[name]
    return {
        "name": name,
        "images": f"{size.images:,}",
        "participants": words.count(size.participants),
        "age": _age(people),
        "sex": _kinds(people.sexes),
        "site": _kinds(people.sites),
    }


def _is_known(people: People) -> bool:
    return bool(people.num_ages or people.sexes or people.sites)


def _age(people: People) -> str:
    if people.age_mean is None:
        return "unknown"
    spread = "" if people.age_sd is None else f" ± {people.age_sd:.1f}"
    return f"{people.age_mean:.1f}{spread}"


def _kinds(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {num:,}" for name, num in found.items()) or "unknown"
