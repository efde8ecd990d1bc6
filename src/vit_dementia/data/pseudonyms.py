"""Names that say nothing of a person, and are the same at training and prediction.

A pseudonym is a keyed hash (HMAC-SHA-256, RFC 2104) of an id. The key, the salt, is
made once per user and kept in the user's configuration folder, readable by nobody else;
without it nobody can try out ids. It is never written into a model.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

import platformdirs

from vit_dementia.data.classes import UNKNOWN, is_unknown
from vit_dementia.errors import DataError
from vit_dementia.files import read_regular

_BYTES = 32
_LETTERS = 12  # of a pseudonym: 60 bits, so that no two of a million people meet
_NOBODY = frozenset({"anonymous", "anonymized", "anonymised", "anon", "patient", "0"})


def default_salt_file() -> Path:
    """Return where this user's salt is kept."""
    return Path(platformdirs.user_config_dir("vit-dementia", appauthor=False)) / "salt"


def read_salt(path: Path | None = None) -> bytes:
    """Return the salt in a file, made on the first call; mode 0600.

    Args:
        path: the file; the user's own if left out.

    Raises:
        DataError: if it cannot be read or made, or holds too little to be a salt.
    """
    path = path or default_salt_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make_salt(path)
        salt = read_regular(path)
    except OSError as error:
        raise DataError(
            f"{path}: the salt of pseudonyms cannot be read or made "
            f"({error.strerror}); name another file by --salt-file"
        ) from error
    if len(salt.strip()) < _BYTES:
        raise DataError(
            f"{path}: holds {len(salt.strip())} bytes; a salt of {_BYTES} or more is "
            "needed"
        )
    return salt.strip()


def _make_salt(path: Path) -> None:
    """Write a salt, whole or not at all; of two who make one, the first one's stays."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    made = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(made, "wb") as file:
            file.write(secrets.token_hex(_BYTES).encode())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            aside.rename(path) if os.name == "nt" else os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def pseudonym(prefix: str, name: str, salt: bytes) -> str:
    r"""Return a name that stands for another; unknown if that says nobody.

    >>> pseudonym("sub-", "Doe^Jane 1950", b"salt")
    'sub-4cviomxwbldu'
    >>> pseudonym("sub-", "***", b"salt")
    'n/a'
    """
    plain = name.strip().casefold()
    if is_unknown(plain) or plain in _NOBODY or not any(map(str.isalnum, plain)):
        return UNKNOWN
    digest = hmac.new(salt, name.strip().encode(), hashlib.sha256).digest()
    return prefix + base64.b32encode(digest).decode().lower()[:_LETTERS]
