"""Damage to files: bytes flipped, cut, spliced, overwritten; JSON values exchanged."""

from __future__ import annotations

import copy
import json
import struct
from typing import Any

from hypothesis import strategies as st

from vit_dementia.files import sealed

SECONDS = 16.0  # for each reader; the time of `make fuzz` hangs on this alone
AT_ONCE = 20  # files between two looks at the clock

_NUMBERS = (
    0,
    1,
    2,
    127,
    128,
    255,
    32767,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
)
_WORDS = [
    *(bytes([value]) for value in (0, 1, 0x7F, 0x80, 0xFF)),
    *(value.to_bytes(n, order) for value in _NUMBERS for n in (2, 4, 8)
      for order in ("little", "big") if value < 256**n),
    *(struct.pack(code, value) for code in ("<f", ">f", "<d", ">d")
      for value in (float("nan"), float("inf"), -1.0, 1e38)),
    b"\x00" * 64, b"\xff" * 64, b"nan", b"inf", b"-1", b"1e999", b"\t", b",", b"\n",
    b"\r", b'"', b"'", b"=1+1", b"../", b"\\", b"{", b"}", b"[", b"]", b"null",
    b"n/a", b"\xef\xbb\xbf", b"\xc3\x28", b"\x1b[2J", b"9" * 400, b"[[" * 600,
]  # fmt: skip
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2, 3, 7, 10**6, 2**63, 10**30, -(10**400)]),
    st.sampled_from([0.5, -0.5, 1e-320, 1e308, -1e308, 0.1]),
    st.sampled_from(
        ["", "n/a", "nan", "CN", "=1+1", "../x", "a\nb", "\x1b[2J", "\ud800"]
    ),
    st.text(max_size=8),
    st.sampled_from([[], {}, [[]], [None], [1, 2], {"a": 1}, [0.5, 0.5, 0.5]]),
)


@st.composite
def damaged(draw: Any, content: bytes, other: bytes) -> bytes:
    """Return a file with one to six faults; half of them lie in its head."""
    made = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        end = len(made)
        if draw(st.booleans()):
            end = min(end, 400)
        at = draw(st.integers(0, max(end - 1, 0)))
        what = draw(
            st.sampled_from(["flip", "word", "cut", "lose", "splice", "insert"])
        )
        length = draw(st.integers(1, 64))
        if what == "flip" and made:
            made[at] ^= 1 << draw(st.integers(0, 7))
        elif what == "word":
            word = draw(st.sampled_from(_WORDS))
            made[at : at + len(word)] = word
        elif what == "cut":
            del made[at:]
        elif what == "lose":
            del made[at : at + length]
        elif what == "splice":
            start = draw(st.integers(0, max(len(other) - 1, 0)))
            made[at : at + length] = other[start : start + length]
        else:
            made[at:at] = draw(st.sampled_from(_WORDS))
    return bytes(made)


@st.composite
def exchanged(draw: Any, content: bytes) -> bytes:
    """Return JSON with one to three values exchanged, lost or doubled, sealed anew."""
    told = copy.deepcopy(json.loads(content))
    for _ in range(draw(st.integers(1, 3))):
        places = _places(told)
        if not places:
            break
        inside, key = draw(st.sampled_from(places))
        what = draw(st.sampled_from(["value", "value", "value", "lose", "double"]))
        if what == "value":
            inside[key] = copy.deepcopy(draw(_VALUES))
        elif what == "lose":
            del inside[key]
        elif isinstance(inside, list):
            inside.insert(key, copy.deepcopy(inside[key]))
        else:
            inside[f"{key}_"] = copy.deepcopy(inside[key])
    if isinstance(told, dict) and "hash" in told:
        told = sealed(told)
    return json.dumps(told).encode("utf-8", "surrogatepass")


def _places(told: Any) -> list[tuple[Any, Any]]:
    """Return every place of a value in a document: what holds it, and where."""
    found: list[tuple[Any, Any]] = []
    if isinstance(told, dict | list):
        pairs = told.items() if isinstance(told, dict) else enumerate(told)
        for key, value in list(pairs):
            found.append((told, key))
            found += _places(value)
    return found
