"""The page of ``predict --html``: what a model says of scans, for people to read.

One file that opens anywhere and asks nothing of the network. It names no path: a scan
has the number of its place among those asked about.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

FORMAT = 1
"""of the page: its parts are named in docs/reference/files.md"""

_ANSWERS = {
    "yes": "Yes: on the side of {positive}.",
    "no": "No: on the side of {negative}, not of {positive}.",
    "not sure": (
        "Not sure: the model abstains, as it cannot tell the sides apart here or does "
        "not know such scans."
    ),
    None: "No yes or no: too few people were there to draw a line for this model.",
}
_SOME_FILE = "(a file of it)"
_REFUSED = "No answer: the scan was refused."


def page(
    document: Mapping[str, Any], facts: Mapping[str, Any], maps: Path | None = None
) -> str:
    """Return the page; every word from the data is escaped.

    Args:
        document: of ``predict --json``.
        facts: of the model, see ``workflows.model_facts``.
        maps: the folder that the pictures of explanations are named from.
    """
    source = resources.files(__package__).joinpath("answer_page.html.j2")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    results = document["results"]
    people = [
        _card(person, facts, maps, _heaviest(person["participant_id"], results))
        for person in document["participants"]
    ]
    return environment.from_string(source.read_text(encoding="utf-8")).render(
        format=FORMAT,
        document=document,
        facts=facts,
        people=people,
        scans=[_card(result, facts, maps) for result in results],
        refused=sum(result["probabilities"] is None for result in results),
        even=1 / len(facts["classes"]),
    )


def _card(
    told: Mapping[str, Any],
    facts: Mapping[str, Any],
    maps: Path | None,
    heaviest: tuple[int, float] | None = None,
) -> dict[str, Any]:
    """Return what is shown of one scan or participant."""
    positive = facts["positive"]
    negative = [name for name in facts["classes"] if name not in positive]
    said = _REFUSED
    if told["probabilities"] is not None:
        said = _ANSWERS[told["early"]].format(
            positive=" or ".join(positive), negative=" or ".join(negative)
        )
    quality = told.get("quality", {"verdict": "", "reasons": []})
    reasons = quality["reasons"]
    if "path" in told:
        reasons = [_without(told["path"], text) for text in reasons]
    return {
        "who": told["participant_id"],
        "num_scans": told.get("num_scans", 1),
        "said": said,
        "probabilities": told["probabilities"],
        "predicted": told["predicted"],
        "set": told["set"],
        "observed": told["observed"],
        "distance": told["distance"],
        "weights": told.get("slice_weights"),
        "heaviest": heaviest,
        "verdict": quality["verdict"],
        "reasons": reasons,
        "map": _map(told.get("explanation"), maps),
    }


def _heaviest(
    who: str, results: Sequence[Mapping[str, Any]]
) -> tuple[int, float] | None:
    """Return the scan of somebody that counts most in its visit, from 1, and how much.

    >>> told = [{"participant_id": "a", "slice_weights": [x]} for x in (0.2, 0.5, 0.3)]
    >>> _heaviest("a", told)
    (2, 0.5)
    """
    found = [
        (sum(result["slice_weights"]), -number)
        for number, result in enumerate(results, 1)
        if result["participant_id"] == who and result.get("slice_weights")
    ]
    if len(found) < 2:
        return None
    share, number = max(found)
    return -number, share


def _without(path: str, reason: str) -> str:
    """Return a reason without the path of its scan, and without those inside it.

    >>> _without("a.png", "a.png: is empty")
    'is empty'
    >>> _without("a", "a: found 2 series, such as a/b.dcm; name a file of one")
    'found 2 series, such as (a file of it); name a file of one'
    """
    bare = reason.replace(f"{path}: ", "")
    for file in sorted(map(str, Path(path).rglob("*")), reverse=True):
        bare = bare.removeprefix(f"{file}: ").replace(file, _SOME_FILE)
    inside = re.escape(path) + r"[/\\][^:;]*"  # of an archive, and what is gone
    return re.sub(inside, _SOME_FILE, bare)


def _map(told: Mapping[str, Any] | None, maps: Path | None) -> dict[str, Any] | None:
    """Return the picture of an explanation, within the page, and how far it holds."""
    if told is None or maps is None or not told.get("picture"):
        return None
    content = (maps / told["picture"]).read_bytes()
    return {
        "picture": "data:image/png;base64," + base64.b64encode(content).decode("ascii"),
        "method": told["method"],
        "reasons": told.get("reasons", ""),  # one line, of a scan
    }
