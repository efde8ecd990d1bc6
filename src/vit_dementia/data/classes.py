"""Class names: which belong together, and which is the more severe.

Order is by severity where every name tells it, else by name. Severities are places on
one line, so that vocabularies can be told apart but not mixed up: a Clinical Dementia
Rating (CDR; Morris 1993) of 0.5 and "very mild dementia" are the same place.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

UNKNOWN = "n/a"  # the BIDS spelling of a value that nobody knows
_UNKNOWN_SPELLINGS = frozenset(
    {"", "n/a", "na", "nan", "none", "null", "<na>", "unknown", "?", "."}
)

_ILL = r"(dement(ed|ia)|impair(ed|ment)|cognitive impairment|ad|alzheimer( ?s)?)"
_DISEASE = rf"{_ILL}( (disease|dementia))?"
_WHOLE_SCALE = 8.0  # "AD", "demented": any grade of dementia
_SEVERITY: tuple[tuple[float, str], ...] = (
    (0, rf"non? ?{_DISEASE}|not {_DISEASE}|normal( aging)?|healthy|c[nu]|[hn]c|ctr?l"),
    (0, r"(cognitively |healthy )?(normal |elderly )?(controls?|normal|unimpaired)"),
    (1, r"smc|scd|subjective (memory|cognitive) (complaint|concern|decline)"),
    (2, r"e ?mci|early (mci|mild cognitive impairment)"),
    (2.5, r"s ?mci|stable mci"),
    (3, rf"mci|mild cognitive impairment|(very mild|questionable)(ly)?( {_DISEASE})?"),
    (3.5, r"p ?mci|progressive mci"),
    (4, r"l ?mci|late (mci|mild cognitive impairment)"),
    (5, rf"mild(ly)?( {_DISEASE})?"),
    (6, rf"moderate(ly)?( {_DISEASE})?"),
    (7, rf"severe(ly)?( {_DISEASE})?"),
    (_WHOLE_SCALE, _DISEASE),
)
_CDR = {0.0: 0.0, 0.5: 3.0, 1.0: 5.0, 2.0: 6.0, 3.0: 7.0}


def is_unknown(value: str) -> bool:
    """Say whether a cell of a table means that nobody knows.

    >>> [is_unknown(v) for v in ("", "n/a", "NaN", "None", "0")]
    [True, True, True, True, False]
    """
    return value.strip().casefold() in _UNKNOWN_SPELLINGS


def name_key(name: str) -> str:
    """Return what is left of a class name without case, spaces, ``_`` and ``-``.

    Two classes with one key are taken for a slip of the pen.

    >>> name_key("Very Mild_demented") == name_key("VeryMildDemented")
    True
    """
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name).casefold())


def severity(name: str) -> float | None:
    """Return the place of a class on the line of severity, None if its name is silent.

    >>> severity("NonDemented"), severity("Very Mild Impairment"), severity("CDR 0.5")
    (0.0, 3.0, 3.0)
    >>> severity("tumor") is None
    True
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    words = re.sub(r"[\s_'\u2019-]+", " ", words).strip().casefold()
    if rating := re.fullmatch(r"cdr ?=? ?(\d(?:[.,]\d)?)", words):
        return _CDR.get(float(rating[1].replace(",", ".")))
    for place, pattern in _SEVERITY:
        if re.fullmatch(pattern, words):
            return float(place)
    return None


def order_classes(names: Iterable[str]) -> tuple[tuple[str, ...], bool]:
    """Return the class names in order, and whether that is the order of severity.

    >>> order_classes(["AD", "MCI", "CN"])
    (('CN', 'MCI', 'AD'), True)
    >>> order_classes(["MildDemented", "NonDemented", "VeryMildDemented"])
    (('NonDemented', 'VeryMildDemented', 'MildDemented'), True)
    >>> order_classes(["1", "0.5", "0"])
    (('0', '0.5', '1'), True)
    >>> order_classes(["tumor", "CN"])
    (('CN', 'tumor'), False)
    """
    by_name = sorted(set(names))
    numbers = [_number(name) for name in by_name]
    if by_name and None not in numbers:
        in_order = sorted(by_name, key=lambda name: (_number(name), name))
        # Without 0.5 the numbers may be grades as well as codes of anything.
        is_cdr = 0.5 in numbers and set(numbers) <= _CDR.keys()
        return tuple(in_order), is_cdr and len(set(numbers)) == len(numbers)
    place_of = {name: severity(name) for name in by_name}
    places = [place for place in place_of.values() if place is not None]
    told = len(set(places)) == len(by_name) > 0
    if _WHOLE_SCALE in places and {5.0, 6.0, 7.0} & set(places):
        told = False  # "AD" beside "mild" may be any grade
    if told:
        by_name.sort(key=lambda name: place_of[name] or 0.0)
    return tuple(by_name), told


def _number(name: str) -> float | None:
    return float(name) if re.fullmatch(r"\d+(\.\d+)?", name) else None
