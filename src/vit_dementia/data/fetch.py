"""Public sets of slices, brought from where they are published.

Nothing is downloaded before its license was shown and accepted.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vit_dementia import files
from vit_dementia.data.archives import unpack
from vit_dementia.download import download, read_json_from
from vit_dementia.errors import ConfigError, DataError
from vit_dementia.progress import Quiet, Watch

KAGGLE = "https://www.kaggle.com"
RECORD = "fetched.json"
FORMAT = 1

# Both repeat the 6,400 slices of the "4 class of images" set, which are OASIS-1.
_WORD = (
    "The slices show some 200 participants of OASIS-1 (oasis-brains.org), about 32 "
    "neighboring slices each, and their names do not say whose they are: a score on "
    "them is by image, and participants may stand on both sides. OASIS asks to be "
    "acknowledged and that nobody tries to find out who the participants are."
)
SETS: Mapping[str, str] = {
    "sachinkumar413/alzheimer-mri-dataset": _WORD,
    "lukechugh/best-alzheimer-mri-dataset-99-accuracy": (
        _WORD + " Its train folder is reported to hold synthetic slices too."
    ),
}


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a person must have seen before a set is brought."""

    name: str
    page: str  # where the publisher describes the set
    license: str
    word: str  # what is known about the set


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A set that is on this machine now."""

    folder: Path
    sha256: str  # of the archive
    num_files: int
    notes: tuple[str, ...]


def fetch(
    name: str,
    out: Path,
    *,
    agree: Callable[[Terms], bool],
    sha256: str | None = None,
    site: str = KAGGLE,
    watch: Watch | None = None,
) -> Fetched:
    """Bring a public set into the new folder ``out``.

    Args:
        name: one of `SETS`.
        out: the new folder; a set that is there already is not brought again.
        agree: is shown the terms; anything but True stops.
        sha256: what the archive's hash must be. The publisher states none; the one
            that was found is recorded in the folder and told.
        site: the publisher's address.
        watch: is shown how far it is.

    Raises:
        ConfigError: if the set is unknown.
        DataError: if the terms are not accepted, the network or the archive fails.
    """
    if name not in SETS:
        near = difflib.get_close_matches(name, SETS, 1, cutoff=0)[0]
        known = ", ".join(SETS)
        raise ConfigError(
            f"data fetch: {name!r} is not known; did you mean {near!r}? Known: {known}"
        )
    if (out / RECORD).is_file():
        return _known_already(name, out, sha256)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: is there already; a new or empty folder is needed")
    terms = Terms(
        name=name,
        page=f"{KAGGLE}/datasets/{name}",
        license=_license(name, site),
        word=SETS[name],
    )
    if agree(terms) is not True:
        raise DataError(
            f"{name}: its terms ({terms.page}) were not accepted; nothing was "
            "downloaded"
        )
    archive = out.with_name(f".{out.name}.fetched.zip")
    found = download(
        f"{site}/api/v1/datasets/download/{name}", archive, sha256=sha256, watch=watch
    )
    try:
        with files.replacing_folder(out) as aside:
            num_files = unpack(archive, aside)
            files.write_json(
                aside / RECORD,
                {
                    "format": FORMAT,
                    "name": name,
                    "page": terms.page,
                    "license": terms.license,
                    "sha256": found,
                    "files": num_files,
                },
            )
    except (DataError, OSError) as error:
        if _lacks_room(error):  # what took hours to bring is not brought again
            raise DataError(
                *getattr(error, "faults", [str(error)]),
                f"{archive}: is kept; make room and give the same command again",
            ) from error
        archive.unlink()
        raise
    archive.unlink()
    said = "was found as expected" if sha256 else f"is recorded in {RECORD}"
    note = f"the SHA-256 of the archive, {found}, {said}"
    (watch or Quiet()).say(note)
    return Fetched(folder=out, sha256=found, num_files=num_files, notes=(note,))


def _lacks_room(error: Exception) -> bool:
    """Say whether the disk is at fault, and not the archive."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno in files.DISK_FAULTS


def _license(name: str, site: str) -> str:
    """Ask the publisher under which license the set is."""
    facts = read_json_from(f"{site}/api/v1/datasets/view/{name}")
    told = facts.get("licenseName") if isinstance(facts, dict) else None
    if isinstance(told, str) and told.strip():
        return " ".join(told.split())[:200]
    return "not stated by the publisher's server; read it on the page"


def _known_already(name: str, out: Path, sha256: str | None) -> Fetched:
    record = files.read_json(out / RECORD)
    if not isinstance(record, dict) or record.get("name") != name:
        raise DataError(f"{out}: holds another set; a new or empty folder is needed")
    found = str(record.get("sha256"))
    if sha256 not in (None, found):
        raise DataError(
            f"{out}: was made of an archive with the SHA-256 {found}; {sha256} is "
            "needed; remove the folder to bring it again"
        )
    return Fetched(
        folder=out,
        sha256=found,
        num_files=int(record.get("files", 0)),
        notes=(f"{out} holds the set already",),
    )
