"""Who is on a scan, as far as its name tells, with one spelling for one person.

Archives spell the same person in several ways (``OAS1_0254``, ``OAS1_0254_MR1`` and
``sub-OAS10254`` are one). Comparing spellings would put a person on both sides of a
split, so every id passes through `canonical_participant` before it is compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from vit_dementia.data.classes import UNKNOWN, is_unknown

Source = Literal["table", "bids", "header", "filename", "image-content", "unknown"]
SOURCES: tuple[Source, ...] = (
    "table", "bids", "header", "filename", "image-content", "unknown",
)  # fmt: skip

_START, _END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"
# OASIS-1 and -2 number people OAS1_0001, visits _MR1; OASIS-3 has OAS30001_MR_d0129.
_OASIS = r"OAS([12])[_-]?(\d{4})(?:[_-]MR(\d+))?"
_OASIS_3 = r"OAS3[_-]?(\d{4})(?:[_-](?:[A-Z]+[_-])?(d\d{4}))?"
_ADNI = r"(?:ADNI[_-]?)?(\d{3})[_-]?S[_-]?(\d{4,5})"
_ADNI_IN_NAME = r"(\d{3})_S_(\d{4,5})"  # 002S0295 inside a name may be anything
_ARCHIVES = tuple(re.compile(p, re.IGNORECASE) for p in (_OASIS, _OASIS_3, _ADNI))
_IN_NAME = tuple(
    # A letter or digit beside an id makes it another word; "_" does not.
    re.compile(_START + pattern + _END, re.IGNORECASE)
    for pattern in (_OASIS, _OASIS_3, _ADNI_IN_NAME)
)
_BIDS_PARTICIPANT = re.compile(_START + r"sub-([A-Za-z0-9]+)")
_MONTH = re.compile(r"M[0-9]{2,3}")
_BIDS_SESSION = re.compile(_START + r"ses-([A-Za-z0-9]+)")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who is on a scan, at which visit, and where that was read."""

    participant_id: str = UNKNOWN
    session_id: str = UNKNOWN
    source: Source = "unknown"


def canonical_participant(participant_id: str) -> str:
    """Return the one spelling that stands for this person everywhere.

    Ids of archives that are not known here come back as they are.

    >>> spellings = "OAS1_0254", "OAS1_0254_MR1", "sub-OAS10254"
    >>> {canonical_participant(spelling) for spelling in spellings}
    {'OAS1_0254'}
    >>> canonical_participant("sub-ADNI002S0295"), canonical_participant("sub-01")
    ('002_S_0295', 'sub-01')
    """
    spelled = participant_id.strip()
    if is_unknown(spelled):
        return UNKNOWN
    bare = spelled.removeprefix("sub-")
    for archive in _ARCHIVES:
        if found := archive.fullmatch(bare):
            return _name(found)
    return spelled


def canonical_session(session_id: str) -> str:
    """Return the visit without the participant and without the BIDS prefix.

    Months of a study are written with three digits, as some of its tables have two.

    >>> [canonical_session(s) for s in ("OAS1_0254_MR2", "ses-MR2", "MR2", "")]
    ['MR2', 'MR2', 'MR2', 'n/a']
    >>> canonical_session("ses-M06"), canonical_session("M006")
    ('M006', 'M006')
    """
    spelled = session_id.strip()
    if is_unknown(spelled):
        return UNKNOWN
    for archive in _ARCHIVES[:2]:
        if (found := archive.fullmatch(spelled)) and _visit(found) != UNKNOWN:
            return _visit(found)
    bare = spelled.removeprefix("ses-")
    return f"M{bare[1:]:0>3}" if _MONTH.fullmatch(bare) else bare


def identify(path: str) -> Identity:
    """Read participant and session from a path, the file's name before its folders'.

    >>> identify("axial/OAS1_0001_MR1_a.jpg").participant_id
    'OAS1_0001'
    >>> who = identify("sub-07/ses-M12/anat/T1w.png")
    >>> who.participant_id, who.session_id, who.source
    ('sub-07', 'M012', 'bids')
    >>> identify("train/NonDemented/26 (19).jpg").source
    'unknown'
    """
    for part in reversed(PurePosixPath(path).parts):
        if found := _BIDS_PARTICIPANT.search(part):
            visit = _BIDS_SESSION.search(part) or _BIDS_SESSION.search(path)
            return Identity(
                participant_id=canonical_participant(found[0]),
                session_id=canonical_session(visit[1]) if visit else UNKNOWN,
                source="bids",
            )
        for archive in _IN_NAME:
            if found := archive.search(part):
                return Identity(
                    participant_id=_name(found),
                    session_id=_visit(found),
                    source="filename",
                )
    return Identity()


def _name(found: re.Match[str]) -> str:
    if found[0].upper().startswith("OAS3"):
        return f"OAS3{found[1]}"
    if found[0].upper().startswith("OAS"):
        return f"OAS{found[1]}_{found[2]}"
    return f"{found[1]}_S_{found[2]}"


def _visit(found: re.Match[str]) -> str:
    if found[0].upper().startswith("OAS3"):
        return found[2].lower() if found[2] else UNKNOWN
    if found[0].upper().startswith("OAS"):
        return f"MR{found[3]}" if found[3] else UNKNOWN
    return UNKNOWN
