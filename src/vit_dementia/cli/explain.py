"""``vit-dementia explain``."""

from __future__ import annotations

import json as json_module
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vit_dementia import DISCLAIMER
from vit_dementia.cli.leak import tell_leak
from vit_dementia.cli.options import pairs_in
from vit_dementia.cli.terminal import escaped, say, tell_of_pictures, watch_for_people
from vit_dementia.explanation.methods import Method
from vit_dementia.inference.compute import Device


def explain(
    run: Path,
    /,
    *scans: Path,
    method: Method | None = None,
    label: Annotated[str | None, Parameter(name="--class")] = None,
    layer: int = -1,
    head: int | None = None,
    cases: int = 0,
    show_scans: bool = False,
    participants: Path | None = None,
    columns: str | None = None,
    out: Path | None = None,
    json: bool = False,
    device: Device = "auto",
) -> int:
    """Draw on each scan what the answer hangs on, and say how faithful the map is.

    Example: vit-dementia explain runs/first scan.png --out maps

    Args:
        run: run folder, or its model folder.
        scans: images or volumes, or folders or zips of them.
        method: how [default: the one that found the place best on phantoms].
        label: the class that is explained [default: the one predicted].
        layer: block of --method attention, from 0; negative ones from the end.
        head: head of --method attention, from 0 [default: the mean of all].
        cases: how many training participants to name whose scans are most like each.
        show_scans: draw the scans of these cases too: only if the data's license and
            the participants' consent allow it.
        participants: table that says who is on which scan [default: file names tell].
        columns: other names of its columns: participant_id=subject.
        out: folder of the pictures and the table [default: runs/<time>-explain].
        json: print one JSON document on stdout.
        device: where to compute.

    Returns:
        0 if every scan was explained, 3 if some were refused, 2 if none could be read.
    """
    from vit_dementia.data.scans import who_is_on
    from vit_dementia.workflows.explain_files import explain as explained

    who = None
    if participants is not None:
        names = pairs_in("--columns", columns) or {}
        who = partial(who_is_on, table=participants, columns=names)
    written = explained(
        run,
        scans,
        method=method,
        label=label,
        layer=layer,
        head=head,
        cases=cases,
        show_scans=show_scans,
        who=who,
        out=out,
        device=device,
        watch=watch_for_people(),
    )
    document = written.document
    for line in document["refused"]:
        say(f"refused: {line}")
    if json:
        print(json_module.dumps(document, indent=2, allow_nan=False))
    for row in document["results"]:
        verdict = "faithful" if row["faithful"] else f"not faithful: {row['reasons']}"
        if not json:
            print(row["path"], row["class"], row["picture"], verdict, sep="\t")
            for case in row.get("cases", ()):
                told = (
                    case["participant_id"],
                    case["label"],
                    f"{case['distance']:.3f}",
                )
                print(row["path"], "case like this", *map(escaped, told), sep="\t")
    typical = document["outside_head"]
    if typical and typical["looks_outside"]:
        say(
            f"the model looks outside the head: {typical['median_share']:.0%} of the"
            f" maps' relevance (clean phantoms: at most"
            f" {typical['largest_of_clean']:.0%}); see docs/explanation/shortcuts.md"
        )
    tell_leak(run)
    say(f"written: {written.folder}")
    tell_of_pictures()
    say(DISCLAIMER)
    if not document["refused"]:
        return 0
    asked = len(document["results"]) + len(document["refused"])
    return 3 if written.unread < asked else 2
