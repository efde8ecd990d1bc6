"""Who and what stands on both sides of a split.

Shapes: n scans.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Shaped

from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.copies import same_bytes
from vit_dementia.errors import LeakageError

_FIRST = 5  # participants named in a message


@dataclass(frozen=True)
class Leak:
    """What stands in more than one part of a split, as far as can be known.

    Attributes:
        participants: who has scans in more than one part.
        checked: False where ids are unknown, so that ``participants`` may lack some.
        in_both: where else, a part, how many of its participants stand there too, and
            how many it has.
        copies: pairs of paths with the same bytes in different parts.
    """

    participants: tuple[str, ...]
    checked: bool
    in_both: tuple[tuple[str, str, int, int], ...] = ()
    copies: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.participants or self.copies)

    def sentence(self) -> str:
        """Say it to a person in one line.

        >>> Leak(("p1",), True, (("train", "test", 1, 4),)).sentence()
        '1 of 4 test participants also stand in train'
        >>> Leak((), False).sentence()
        'participants are unknown: they may stand on both sides of the split'
        >>> Leak((), True).sentence()
        'no participant and no picture stands on both sides of the split'
        """
        said = [
            f"{num} of {num_all} {part} participants also stand in {where}"
            for where, part, num, num_all in self.in_both
        ]
        if self.participants and not said:
            said.append(f"{len(self.participants)} participants stand on both sides")
        if self.copies:
            said.append(
                f"{len(self.copies)} pictures stand byte for byte on both sides"
            )
        if not self.checked:
            known = "some participants" if self.participants else "participants"
            said.append(
                f"{known} are unknown: they may stand on both sides of the split"
            )
        elif not said:
            said.append(
                "no participant and no picture stands on both sides of the split"
            )
        return "; ".join(said)


def find_leaks(cohort: Cohort, roles: Shaped[np.ndarray, " n"]) -> Leak:
    """Compare the parts of a split by participant and by the bytes of the files.

    Args:
        cohort: all scans.
        roles: the part of each row, as `vit_dementia.data.splits.roles` gives it.
    """
    parts_of: dict[str, set[str]] = defaultdict(set)
    for participant, role in zip(cohort.table["participant_id"], roles, strict=True):
        if role and participant != UNKNOWN:
            parts_of[str(participant)].add(str(role))
    pairs = []
    for others, part in (({"train", "val"}, "test"), ({"train"}, "val")):
        num_all = sum(part in parts for parts in parts_of.values())
        both = [parts & others for parts in parts_of.values() if part in parts]
        where = " or ".join(sorted(set().union(*both)))
        if where:
            pairs.append((where, part, sum(map(bool, both)), num_all))
    used = np.flatnonzero(roles != "")
    return Leak(
        participants=tuple(
            sorted(p for p, parts in parts_of.items() if len(parts) > 1)
        ),
        checked=bool((cohort.table["participant_id"].iloc[used] != UNKNOWN).all()),
        in_both=tuple(pairs),
        copies=_copies(cohort, used.tolist(), [str(role) for role in roles[used]]),
    )


def with_seen(
    leak: Leak,
    cohort: Cohort,
    roles: Shaped[np.ndarray, " n"],
    seen: Collection[str],
    *,
    all_known: bool = True,
) -> Leak:
    """Return the leak with those who test and were seen before the training began.

    Args:
        leak: of the split.
        cohort: all scans.
        roles: the part of each row.
        seen: who trained the weights that the training begins with.
        all_known: whether those are all.

    >>> import pandas as pd
    >>> from pathlib import Path
    >>> table = pd.DataFrame({"participant_id": ["p1", "p2"]})
    >>> cohort = Cohort(root=Path(), table=table, classes=(), ordered=False)
    >>> parts = np.array(["train", "test"])
    >>> with_seen(Leak((), True), cohort, parts, {"p2", "p3"}).participants
    ('p2',)
    """
    tested = set(cohort.table["participant_id"][roles == "test"]) - {UNKNOWN}
    known = tested & set(seen)
    if known:
        where = ("the training of the weights it begins with", "test")
        leak = replace(
            leak,
            participants=tuple(sorted({*leak.participants, *known})),
            in_both=(*leak.in_both, (*where, len(known), len(tested))),
        )
    return replace(leak, checked=leak.checked and all_known)


def refuse_leaks(leak: Leak, allowed: str | None) -> None:
    """Stop where somebody stands on both sides, unless a reason is given.

    Args:
        leak: what was found.
        allowed: why that is wanted all the same; None or empty: it is not.

    Raises:
        LeakageError: naming the first five participants and both parts.

    >>> refuse_leaks(Leak(("p1",), True), "to show its price")
    """
    if not leak or allowed:
        return
    named = [*leak.participants, *(" = ".join(pair) for pair in leak.copies)]
    more = f" and {len(named) - _FIRST} more" if len(named) > _FIRST else ""
    raise LeakageError(
        f"leak: {leak.sentence()} ({', '.join(named[:_FIRST])}{more}); scores would "
        "measure who was recognized; split by participant, or give the reason by "
        "--allow-leakage"
    )


def _copies(
    cohort: Cohort, rows: Sequence[int], roles: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Return pairs of paths in different parts with the same bytes.

    Copies of a participant who is known to stand on one side only cannot exist, so
    this finds one picture under two names or two ids.
    """
    groups = same_bytes([cohort.file_of(row) for row in rows])
    path = [str(cohort.table["path"].iloc[row]) for row in rows]
    return tuple(
        (path[group[0]], path[other])
        for group in groups
        for other in group[1:]
        if roles[other] != roles[group[0]]
    )
