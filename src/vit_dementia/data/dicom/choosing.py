"""Which series of a study is the T1-weighted volume: told by its headers, or asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vit_dementia.data.dicom.headers import Header
from vit_dementia.errors import ScanError

FEWEST_SLICES = 20  # of a volume
_THIN_MM = 2.5  # slices of a 3-D acquisition
_HEAD = ("", "HEAD", "BRAIN", "SKULL", "HEADNECK")
_KINDS = frozenset(  # modalities that may be named: whatever else it is may be a person
    {"CR", "CT", "DX", "MG", "NM", "OT", "PT", "PX", "RF", "SC", "US", "XA"}
)
_DERIVED = frozenset(
    {"MPR", "MIP", "MINIP", "PROJECTION IMAGE", "LOCALIZER", "ADC", "FA", "TRACEW",
     "SUBTRACTION", "SCREEN SAVE", "SECONDARY"}
)  # fmt: skip
_T1 = frozenset(
    {"t1", "t1w", "t13d", "3dt1", "mprage", "rage", "spgr", "fspgr", "irspgr",
     "bravo", "tfl", "tfl3d", "tfe", "flash", "vibe"}
)  # fmt: skip
_OTHER = frozenset(
    {"t2", "t2w", "flair", "dwi", "dti", "diff", "ep2d", "epi", "bold", "fmri", "asl",
     "swi", "tof", "mra", "pd", "adc", "fa", "trace", "loc", "localizer", "scout",
     "survey", "fieldmap", "perfusion"}
)  # fmt: skip


@dataclass(frozen=True)
class Series:
    """Files that one scan has written."""

    headers: tuple[Header, ...]

    @property
    def first(self) -> Header:
        """The header that speaks for all in what they share."""
        return self.headers[0]

    @property
    def num_slices(self) -> int:
        """How many slices its files hold."""
        return sum(max(1, len(header.slices)) for header in self.headers)

    def line(self) -> str:
        """Describe it without a word of free text.

        Its file is told as a path, which is known for one wherever none may stand.
        """
        one = self.first
        times = ", ".join(
            f"{name} {value:g} ms"
            for name, value in (
                ("TR", one.repetition_ms), ("TE", one.echo_ms), ("TI", one.inversion_ms)
            )
            if value is not None
        )  # fmt: skip
        return (
            f"series {one.number}: {self.num_slices} slices of {one.rows} x "
            f"{one.columns} ({times or 'no times'}), such as {one.path}"
        )


def series_in(headers: Iterable[Header]) -> list[Series]:
    """Group files by series, in order of their number."""
    files_of: dict[tuple[str, str], list[Header]] = defaultdict(list)
    for header in headers:
        files_of[header.study, header.series].append(header)
    return [Series(tuple(files)) for _, files in sorted(files_of.items())]


def choose(where: Path, found: Sequence[Series]) -> tuple[Series, str]:
    """Return the one 3-D T1-weighted series, and a note if there was a choice.

    Raises:
        ScanError: if there is none, or more than one; they are listed.
    """
    heads = [one for one in found if not why_not_a_head(one)]
    if not heads:
        reasons = sorted({why_not_a_head(one) for one in found})
        raise ScanError(f"{where}: {'; '.join(reasons)}; needs an MR scan of a head")
    large = [one for one in heads if one.num_slices >= FEWEST_SLICES]
    fitting = [one for one in large if _is_3d(one) and looks_t1(one)]
    silent = [one for one in large if looks_t1(one) is None]
    listed = "; ".join(one.line() for one in heads)
    if len(fitting) > 1:
        raise ScanError(
            f"{where}: found {len(fitting)} series that may be meant: {listed}; name a "
            "file of one of them"
        )
    if fitting:
        others = len(found) - 1
        note = (
            f"chose series {fitting[0].first.number} among {others + 1} by its header"
        )
        return fitting[0], note if others else ""
    if len(silent) == 1:
        return silent[0], "its header does not tell that it is T1-weighted"
    raise ScanError(f"{where}: found no 3-D T1-weighted series among: {listed}")


def why_not_a_head(series: Series) -> str:
    """Say why a series is no MR scan of a head; nothing if it may be one."""
    one = series.first
    if one.modality != "MR":
        kind = one.modality if one.modality in _KINDS else "another kind"
        return f"is {kind}, not MR"
    if one.body_part not in _HEAD:
        return "shows another part of the body than the head"
    if one.samples != 1:
        return "is in color"
    return ""


def looks_t1(series: Series) -> bool | None:
    """Say whether a series is T1-weighted; None if its header is silent."""
    one = series.first
    if one.words & _OTHER or _DERIVED & set(one.image_type) or "EP" in one.sequence:
        return False
    if one.words & _T1:
        return True
    echo, repetition, inversion = one.echo_ms, one.repetition_ms, one.inversion_ms
    if echo is None or repetition is None:
        return None
    if echo > 30:
        return False
    prepared = inversion is not None and 300 <= inversion <= 1500
    return repetition < 900 or prepared or (echo < 10 and "GR" in one.sequence)


def _is_3d(series: Series) -> bool:
    """Say whether slices were acquired as one volume."""
    if series.first.acquisition:
        return series.first.acquisition == "3D"
    places = [one.position for header in series.headers for one in header.slices]
    if len(places) < FEWEST_SLICES:
        return False
    span = float(np.linalg.norm(np.ptp(np.array(places), axis=0)))
    return span / (len(places) - 1) <= _THIN_MM
