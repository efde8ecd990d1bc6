"""Which of a participant's visits are taken."""

from __future__ import annotations

import re
from typing import Literal

from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.gathered import Gathered

Visits = Literal["baseline", "all", "last"]


def keep_visits(gathered: Gathered, visits: Visits) -> None:
    """Keep every participant's first or last visit, in the order of session ids.

    Numbers inside an id count as numbers, so that ``M6`` comes before ``M12``.
    """
    if visits == "all":
        return
    table = gathered.table
    order = [
        [(int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", s)]
        for s in table["session_id"]
    ]
    wanted: dict[str, int] = {}
    for row, who in enumerate(table["participant_id"]):
        if who == UNKNOWN:
            continue
        best = wanted.setdefault(who, row)
        if order[row] != order[best] and (order[row] < order[best]) == (
            visits == "baseline"
        ):
            wanted[who] = row
    kept = [
        who != UNKNOWN and order[row] == order[wanted[who]]
        for row, who in enumerate(table["participant_id"])
    ]
    gathered.table = table[kept].reset_index(drop=True)
    if left_out := len(kept) - sum(kept):
        which = "first" if visits == "baseline" else "last"
        gathered.notes.append(
            f"{left_out} scans of other visits than the {which} were left out"
        )
