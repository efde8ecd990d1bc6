"""When broken files are left out, and when they stop the work."""

from __future__ import annotations

from collections.abc import Sequence

from vit_dementia.errors import DataError
from vit_dementia.limits import LIMITS, Limits


def refuse_too_many(
    problems: Sequence[str],
    num_scans: int,
    *,
    lost: Sequence[str] = (),
    limits: Limits = LIMITS,
) -> None:
    """Pass if the rest is still the data set that was meant, else list every problem.

    Args:
        problems: one line for each scan that cannot be used.
        num_scans: all scans, those with problems included.
        lost: what no scan is left of, as words.
        limits: how many may be left out.

    Raises:
        DataError: if more of the scans than the limit (5 %) are unusable or something is lost.

    >>> refuse_too_many(["a.png: empty"], 20)
    >>> refuse_too_many(["a.png: empty"], 19)
    Traceback (most recent call last):
        ...
    vit_dementia.errors.DataError: 1 of 19 scans cannot be used (5.3 %); at most 5 % are left out; mend or remove them
    a.png: empty
    """  # noqa: E501 - the message is one line
    faults = [f"no usable scan is left of {what}" for what in lost]
    if len(problems) > limits.unreadable * num_scans:
        share = 100 * len(problems) / num_scans
        faults.append(
            f"{len(problems)} of {num_scans} scans cannot be used ({share:.1f} %); "
            f"at most {100 * limits.unreadable:g} % are left out; mend or remove them"
        )
    if faults:
        raise DataError.of([*faults, *problems])
