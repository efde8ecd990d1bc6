"""BIDS data sets and Clinica's CAPS: which T1-weighted volumes are there, and of whom.

BIDS (Gorgolewski et al. 2016, doi 10.1038/sdata.2016.44) says in a file's name who is
on it; what is known of these people stands in tables, see ``data.diagnosis``. CAPS
(clinica.run) holds volumes that Clinica has prepared, under names like those of BIDS.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.participants import canonical_participant, canonical_session
from vit_dementia.errors import DataError
from vit_dementia.limits import LIMITS, Limits

_NAME = re.compile(
    r"(?P<sub>sub-[A-Za-z0-9]+)(?:_(?P<ses>ses-[A-Za-z0-9]+))?"
    r"(?P<more>(?:_[a-z]+-[A-Za-z0-9]+)*)_T1w\.nii(?:\.gz)?"
)
_MADE = frozenset({"space", "desc", "res", "den", "label"})  # entities of derivatives
_CROPPED = "desc-Crop"  # the variant of Clinica's t1-linear that networks read


@dataclass(frozen=True, kw_only=True)
class Found:
    """Volumes of a data set, with what their names say.

    Attributes:
        paths: relative to the data set.
        participants: in the one spelling that is compared.
        sessions: likewise; ``n/a`` where names tell none.
        subjects: the folder of each participant as it is spelled, for its tables.
        faults: what makes it unclear which volumes are meant.
        problems: volumes that are named and not there.
        notes: what a person should know.
    """

    paths: list[str] = field(default_factory=list)
    participants: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_bids(root: Path) -> bool:
    """Say whether a folder holds participants as BIDS names them, with volumes."""
    return _is_data_set(root, "anat")


def is_caps(root: Path) -> bool:
    """Say whether a folder is one that Clinica's t1-linear has filled."""
    return _is_data_set(root / "subjects", "t1_linear")


def list_bids(root: Path, *, limits: Limits = LIMITS) -> Found:
    """List the T1-weighted volumes of a BIDS data set, raw or derived, sorted.

    Several acquisitions or runs of one visit are several scans of one participant.
    Derivatives inside a raw data set are left alone.

    Raises:
        DataError: if there are more entries than the limit.
    """
    return _list(root, root, "anat", limits)


def list_caps(root: Path, *, limits: Limits = LIMITS) -> Found:
    """List the volumes that Clinica's t1-linear has written, sorted.

    Where it has kept both, the cropped volume is taken.

    Raises:
        DataError: if there are more entries than the limit.
    """
    return _list(root, root / "subjects", "t1_linear", limits)


def _is_data_set(root: Path, kind: str) -> bool:
    subjects = (s for s in root.glob("sub-*") if s.is_dir())
    return any(
        next(subject.glob(f"{way}{kind}/*_T1w.nii*"), None) is not None
        for subject in subjects
        for way in ("", "ses-*/")
    )


def _list(root: Path, start: Path, kind: str, limits: Limits) -> Found:
    found = Found()
    files_of: dict[tuple[str, ...], dict[str, Path]] = defaultdict(dict)
    for number, file in enumerate(_files(start, kind)):
        if number > limits.entries:
            raise DataError(f"{root}: holds more than {limits.entries} files")
        name = _NAME.fullmatch(file.name)
        if name is None:
            found.problems.append(
                f"{file.relative_to(root).as_posix()}: its name is not one of BIDS; "
                "needs sub-X[_ses-Y][_acq-Z][_run-N]_T1w.nii.gz"
            )
            continue
        entities = name["more"].split("_")[1:]
        made = [e for e in entities if e.partition("-")[0] in _MADE]
        scan = [e for e in entities if e not in made]
        key = (name["sub"], name["ses"] or "", *scan)
        _check_folders(root, file, key, found)
        _keep(root, files_of[key], "_".join(made), file, found)
    for key, variants in sorted(files_of.items()):
        _choose(root, key, variants, found)
    return found


def _files(start: Path, kind: str) -> Iterator[Path]:
    for subject in sorted(start.glob("sub-*")):
        if subject.is_dir():
            for way in ("", "ses-*/"):
                yield from sorted(subject.glob(f"{way}{kind}/*_T1w.nii*"))


def _check_folders(root: Path, file: Path, key: tuple[str, ...], found: Found) -> None:
    """Refuse a file whose folders name somebody else, or another visit."""
    for part in file.relative_to(root).parts[:-1]:
        if part.startswith(("sub-", "ses-")) and part not in key[:2]:
            found.faults.append(
                f"{file}: lies in {part}, which its name is not of; mend one of them"
            )


def _keep(
    root: Path, variants: dict[str, Path], made: str, file: Path, found: Found
) -> None:
    relative = file.relative_to(root).as_posix()
    if file.is_symlink() and not file.exists():
        found.problems.append(
            f"{relative}: is a link that leads nowhere; get the data first "
            "(git annex get, datalad get)"
        )
    elif not file.is_file():
        found.problems.append(f"{relative}: is not a regular file; a volume is needed")
    elif made in variants:
        found.faults.append(
            f"{file}: is there as {variants[made].name} too; remove one of them"
        )
    else:
        variants[made] = file


def _choose(
    root: Path, key: tuple[str, ...], variants: dict[str, Path], found: Found
) -> None:
    """Take the one volume of a scan; of Clinica's two the cropped one."""
    cropped = [made for made in variants if _CROPPED in made.split("_")]
    made = cropped if len(cropped) == 1 and len(variants) == 2 else list(variants)
    if len(made) > 1:
        names = ", ".join(sorted(variants[one].name for one in made))
        found.faults.append(
            f"{root}: found {len(made)} versions of one scan ({names}); needs one: "
            "move the others, or list the scans in a table of paths and labels"
        )
    for one in made[:1]:
        subject, session = key[:2]
        found.paths.append(variants[one].relative_to(root).as_posix())
        found.subjects.append(subject)
        found.participants.append(canonical_participant(subject))
        found.sessions.append(canonical_session(session) if session else UNKNOWN)
