"""The contact sheet of a preparation: every registration on one page, worst first.

It names no file and nobody: a scan has the number of its row in ``quality.tsv``.
Letters: ``h w`` pixels.
"""

from __future__ import annotations

import base64
import io
from importlib import resources
from typing import Any

import jinja2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vit_dementia import DISCLAIMER
from vit_dementia.preparation.templates import load_template
from vit_dementia.workflows.prepare import Preparation
from vit_dementia.workflows.prepare_scan import Result

TITLE = "Are these scans usable?"
_GRAVITY = {"failed": 0, "fail": 1, "warn": 2, "pass": 3}
_JPEG = 80


def page(made: Preparation) -> str:
    """Return the page; every word from the data is escaped."""
    source = resources.files(__package__).joinpath("prepare_page.html.j2")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    cards = [_card(n, result) for n, result in enumerate(made.results, start=1)]
    cards.sort(key=lambda card: (_GRAVITY[card["mood"]], card["likeness"]))
    return environment.from_string(source.read_text(encoding="utf-8")).render(
        title=TITLE,
        disclaimer=DISCLAIMER,
        counts=made.counts(),
        total=len(cards),
        pipeline=made.pipeline.pipeline,
        space=load_template(made.pipeline.template).space,
        cards=cards,
        reasons=_reasons(made),
    )


def _card(number: int, result: Result) -> dict[str, Any]:
    quality = result.quality
    measures = {} if quality is None else quality.measures
    return {
        "number": number,
        "mood": "failed" if quality is None else quality.verdict,
        "outcome": result.outcome,
        "picture": None if result.picture is None else _jpeg(result.picture),
        "likeness": measures.get("likeness", 0.0),
        "texts": [result.cause]
        if quality is None
        else [reason.text for reason in quality.reasons],
    }


def _reasons(made: Preparation) -> list[tuple[str, str, int]]:
    """Return each kind of reason with its verdict and how often it was given."""
    count = dict[tuple[str, str], int]()
    for result in made.results:
        for reason in () if result.quality is None else result.quality.reasons:
            key = (reason.code, reason.verdict)
            count[key] = count.get(key, 0) + 1
    return [
        (code, verdict, num)
        for (code, verdict), num in sorted(count.items(), key=lambda item: -item[1])
    ]


def _jpeg(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, format="JPEG", quality=_JPEG)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")
