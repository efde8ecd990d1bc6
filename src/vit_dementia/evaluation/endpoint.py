"""Which classes are told from which: the two sides of a yes-or-no question."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from vit_dementia.errors import ConfigError


def positive_classes(
    classes: tuple[str, ...], wanted: Sequence[str] | None
) -> tuple[str, ...]:
    """Return the positive classes, in order: those wanted, or all but the first.

    Raises:
        ConfigError: if one is no class, or none or all are wanted.

    >>> positive_classes(("A", "B", "C"), None)
    ('B', 'C')
    """
    if wanted is None:
        return classes[1:]
    faults = []
    for name in dict.fromkeys(wanted):
        if name not in classes:
            near = difflib.get_close_matches(name, classes, 1, cutoff=0) or classes
            faults.append(f"positive: no class {name!r}; did you mean {near[0]!r}?")
    if not wanted or set(wanted) >= set(classes):
        faults.append(f"positive: name some, not none or all, of {list(classes)}")
    if faults:
        raise ConfigError.of(faults)
    return tuple(name for name in classes if name in wanted)


def early_sides(
    classes: tuple[str, ...], positive: tuple[str, ...]
) -> tuple[str, ...] | None:
    """Return the negative classes and the mildest positive one: the early endpoint.

    None where the endpoint itself asks that.

    >>> early_sides(("none", "very mild", "mild"), ("very mild", "mild"))
    ('none', 'very mild')
    """
    if len(positive) < 2:
        return None
    mildest = next(name for name in classes if name in positive)
    return tuple(n for n in classes if n not in positive or n == mildest)


def endpoint_of(classes: tuple[str, ...], positive: tuple[str, ...]) -> dict[str, Any]:
    """Return the two sides of an endpoint, and the same in words.

    >>> endpoint_of(("A", "B", "C"), ("B", "C"))["words"]
    'B or C against A'
    """
    negative = tuple(name for name in classes if name not in positive)
    return {
        "positive": list(positive),
        "negative": list(negative),
        "words": f"{either(positive)} against {either(negative)}",
    }


def either(names: Sequence[str]) -> str:
    """Join names in words.

    >>> either(("A", "B", "C"))
    'A, B or C'
    """
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
